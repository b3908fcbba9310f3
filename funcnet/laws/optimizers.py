"""The laws of optimizers."""

from __future__ import annotations

import numpy as np

from funcnet import tree
from funcnet.codec import from_json, to_json
from funcnet.errors import LawError
from funcnet.key import Key
from funcnet.laws.values import expect, form, frozen_copy, random_like, same
from funcnet.optim.rules import Optimizer, apply_updates


def check_optimizer(opt: Optimizer) -> None:
    """Run every law on an optimizer; a rule, as against a transform alone, must also descend.

    Raises   LawError naming the law that breaks
    """
    key = Key(0).fold("laws")
    for dtype in (np.float32, np.float64):
        weight, bias = key.fold("w").normal((3, 2), dtype), key.fold("b").normal((2,), dtype)
        params = frozen_copy({"a": {"weight": weight}, "bias": bias})
        opt_state = frozen_copy(opt.init(params))
        expected = form(opt_state)
        for step in range(3):
            grads = frozen_copy(random_like(params, key.fold("g", step)))
            try:
                updates, new_state = opt.update(grads, opt_state, params, 1.0)
            except ValueError as error:
                if "read-only" not in str(error):
                    raise
                raise LawError(f"breaks the law 'pure': {error}", layer=type(opt).__name__) from None
            expect(
                form(updates) == form(params),
                "updates have the params' tree, shapes and dtypes",
                opt,
                f"expected {form(params)}, got {form(updates)}",
            )
            expect(form(new_state) == expected, "the state keeps keys, shapes and dtypes", opt)
            again = opt.update(grads, opt_state, params, 1.0)
            expect(same(again, (updates, new_state)), "the same call gives the same bits", opt)
            for path, leaf in tree.flatten(new_state).items():
                if path.endswith("step"):
                    expect(leaf.dtype == np.int64 and leaf == step + 1, "step counts the updates in int64", opt)
            opt_state, params = frozen_copy(new_state), frozen_copy(apply_updates(params, updates))
        evaluated = opt.eval_params(params, opt_state)
        expect(form(evaluated) == form(params), "eval_params has the params' tree, shapes and dtypes", opt)
    if opt.tag is not None:
        expect(from_json(to_json(opt)) == opt, "a registered spec round-trips through JSON", opt)
