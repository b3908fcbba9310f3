"""Random networks, losses and optimizers, made from a seed: ``python -m tests.compiler.networks``.

A case is trained for some steps plain and compiled; everything must agree to the last bit. ``smaller`` takes layers
away while a failure stays.
"""

from __future__ import annotations

import argparse
import inspect
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import numpy as np

import funcnet as fn
from funcnet import losses, optim, tree
from tests.compiler.comparison import SMALL, Difference, check_same, report, thresholds
from tests.compiler.layers import TO_REDRAW, is_shape, joined, layer
from tests.row import Row
from tests.rows.attention import indices
from tests.table import LAYERS, OPTIMIZERS, REGRESSION, SMOOTH, SOFTMAX

RULES = [name for name, opt in OPTIMIZERS.items() if opt.descends]


class Case(NamedTuple):
    """A network in parts, and how it is trained."""

    layers: tuple[Any, ...]
    start: Row
    batch: int
    loss: Any
    opt: Any = optim.SGD(0.1)
    dtype: Any = np.float32
    weighted: bool = False
    shards: int = 1
    sizes: dict[str, int] = {}
    printed: bool = False
    columns: bool = False
    members: int = 0

    @property
    def net(self) -> Any:
        """The whole network."""
        net = fn.serial(*self.layers)
        return fn.Ensemble(net, self.members) if self.members else net

    def data(self, step: int) -> tuple[Any, ...]:
        """The batch of a step: inputs, targets, and weights if there are any."""
        key = fn.Key(99).fold("step", step)
        x = self.start.input(key.fold("x"), self.batch, self.dtype)
        if self.columns:
            x = tree.map(np.asfortranarray, x)
        out = fn.serial(*self.layers).out_shape(self.start.in_shape)
        loss = self.loss.loss if self.members else self.loss
        y = target(loss, out, self.batch, key.fold("y"), self.dtype)
        return (x, y, key.fold("w").uniform((self.batch,), self.dtype)) if self.weighted else (x, y)

    def check(self, steps: int = 5) -> str:
        """Raise a Difference if compiled and plain differ; say how it ended."""
        with warnings.catch_warnings(), thresholds(self.sizes):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", fn.CompileWarning)
            try:
                how = compare(self, steps)
            except Difference:
                if repeats_itself(self, steps):
                    raise
                return "plain differs from plain"
            return printed(self) if self.printed and how == "equal" else how

    def __str__(self) -> str:
        """The case, a layer a line."""
        fields = {name: getattr(self, name) for name in self._fields[2:]}
        rest = {name: value for name, value in fields.items() if value != self._field_defaults.get(name)}
        rows = [f"  {brief(one)}" for one in self.layers]
        rest = {name: brief(value) for name, value in rest.items()}
        return "\n".join([f"  in_shape {self.start.in_shape}", *rows, f"  {rest}"])


def brief(value: Any) -> str:
    """A spec in a line, without the fields that are as by default."""
    if isinstance(value, tuple):
        return f"({', '.join(map(brief, value))})"
    if not attrs.has(type(value)) or isinstance(value, fn.Key):
        return getattr(value, "__name__", repr(value))
    fields = [(one, getattr(value, one.name)) for one in attrs.fields(type(value))]
    shown = [f"{one.name}={brief(field)}" for one, field in fields if not callable(field) and field != one.default]
    return f"{type(value).__name__}({', '.join(shown)})"


def target(loss: Any, out: Any, batch: int, key: fn.Key, dtype: Any) -> Any:
    """Targets that fit a loss and the shape of an output."""
    shape = (batch, *out) if is_shape(out) else ()
    if isinstance(loss, losses.Multi):
        parts = zip(loss.losses, out, range(9), strict=False)
        return tuple(target(one, inner, batch, key.fold(i), dtype) for one, inner, i in parts)
    if isinstance(loss, losses.SoftmaxCrossEntropy | losses.NegativeLogLikelihood):
        return key.integers(out[-1], shape[:-1])
    if isinstance(loss, losses.BinaryCrossEntropy | losses.SigmoidCrossEntropy):
        return key.uniform(shape, dtype)
    return key.normal(shape, dtype)


# ----- both ways -----------------------------------------------------------------------------------------------------


def outcome(f: Callable[..., Any], *args: Any) -> tuple[Any, Exception | None]:
    try:
        return f(*args), None
    except (fn.FuncnetError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        return None, error


def compare(case: Case, steps: int, compile: bool = True) -> str:
    """Train plain and compiled (or plain again) from the same start, then predict."""
    net, batches = case.net, [case.data(i) for i in range(steps)]
    build = {"net": net, "loss": case.loss, "opt": case.opt, "shards": case.shards}
    plain, fast = fn.train_step(**build, compile=False), fn.train_step(**build, compile=compile)
    first = second = fn.train_state(net, case.opt, fn.Key(7), case.start.in_shape, case.dtype)
    for i, batch in enumerate(batches):
        expected, plain_error = outcome(plain, first, batch)
        found, error = outcome(fast, second, batch)
        if plain_error is not None or error is not None:
            if type(plain_error) is not type(error):
                names = [type(e).__name__ if e else "nothing" for e in (error, plain_error)]
                raise Difference(f"raises {names[0]} for {names[1]}", f"step {i}: {error or plain_error}")
            return f"both raise {type(error).__name__}"
        (first, figures), (second, other) = expected, found
        check_same(other, figures, f"step {i} figures")
        for name in ("state", "params", "opt_state"):
            check_same(getattr(second, name), getattr(first, name), f"step {i} {name}")
    x = batches[0][0]
    expected = tree.map(np.array, net.apply(first.params, first.state, x, fn.EVAL)[0])
    for _ in range(3 if compile else 0):
        check_same(fn.predict(net, first.params, first.state, x), expected, "predict")
    return "equal"


def repeats_itself(case: Case, steps: int) -> bool:
    """Whether plain gives the same bits wherever in memory its arrays lie."""
    for size in range(4):
        held = [np.zeros(1 + 7 * size, np.uint8) for _ in range(size)]
        try:
            compare(case, steps, compile=False)
        except Difference:
            return False
        del held
    return True


def printed(case: Case) -> str:
    """Run the printed programs, the readable one and the planned one, beside the library's steps."""
    net, how = case.net, "printed"
    plain = fn.train_step(net, case.loss, case.opt, compile=False)
    for planned in (False, True):
        ts = fn.train_state(net, case.opt, fn.Key(7), case.start.in_shape, case.dtype)
        y = case.data(0)[1]
        try:
            text = fn.source(
                net, case.start.in_shape, case.batch, case.loss, case.opt, dtype=case.dtype, target=y, planned=planned
            )
        except fn.FuncnetError:
            how = "not printed"
            continue
        names: dict[str, Any] = {"__name__": "printed"}
        exec(text, names)
        asked = inspect.signature(names["step"]).parameters
        for i in range(3):
            x, y = case.data(i)
            given = {"params": ts.params, "state": ts.state, "opt_state": ts.opt_state, "x": x, "y": y}
            given |= {"key": ts.key.digest, "step": ts.step}
            found = names["step"](*(given[name] for name in asked))
            ts, figures = plain(ts, (x, y))
            expected = [figures["loss"], *([ts.state] if ts.state else []), ts.params, ts.opt_state]
            where = f"{'planned' if planned else 'readable'} source, step {i}"
            for a, b in zip(found, expected, strict=True):
                check_same(tree.map(np.asarray, a), tree.map(np.asarray, b), where)
    return how


# ----- cases ----------------------------------------------------------------------------------------------------------


def beginning(r: random.Random, real: bool) -> tuple[Row, list[Any]]:
    """Where a network starts: a shape, or a row of the table with a layer for what it gives."""
    if r.random() < 0.35 and not real:
        name = r.choice(list(LAYERS))
        row = LAYERS[name]
        y, _, _ = row.layer.apply(
            *row.layer.init(fn.Key(0), row.in_shape, np.float64), row.input(fn.Key(1)), fn.Context(True, fn.Key(2))
        )
        if any(leaf.dtype == np.bool_ for leaf in tree.leaves(y)):
            return row, [row.layer, fn.SequencePool(r.choice(("mean", "last", "max")))]
        out = row.layer.out_shape(row.in_shape)
        return row, [row.layer, *([] if is_shape(out) and out else [joined(out)])]
    if r.random() < 0.15:
        time, features = (24, 48) if real else (r.randint(1, 5), r.choice((2, 4, 6)))
        embedding = fn.Embedding(7, features)
        return Row(embedding, (time,), x=indices(7, time)), [embedding]
    if real:
        shape = r.choice(((48,), (200,), (64, 48), (24, 64), (48, 16), (12, 12, 8)))
    else:
        shape = tuple(r.randint(1, 6) for _ in range(r.choice((1, 1, 2, 2, 2, 3, 4))))
    return Row(fn.Identity(), shape), []


def network(seed: int) -> Case:
    """The case of a seed."""
    r = random.Random(seed)
    real = r.random() < 0.15
    while True:
        try:
            return drawn(r, real)
        except TO_REDRAW:
            continue


def drawn(r: random.Random, real: bool) -> Case:
    start, layers = beginning(r, real)
    shape = fn.serial(*layers).out_shape(start.in_shape)
    for _ in range(r.randint(1, 4 if real else 6)):
        layers.append(layer(r, shape, 0.3))
        shape = layers[-1].out_shape(shape)
    if r.random() < 0.7:
        layers += [fn.Flatten(), fn.Dense(r.choice((1, 2, 3, 10)))]
        shape = layers[-1].out_shape((1,))
    loss, head = objective(r, shape)
    layers += head
    members = r.choice((1, 2, 3)) if r.random() < 0.06 and not isinstance(loss, losses.Multi) else 0
    if members:
        loss = losses.EachMember(loss)
    case = Case(
        layers=tuple(layers),
        start=start,
        batch=r.choice((16, 32, 128)) if real else r.choice((1, 2, 3, 4, 5, 8, 16)),
        loss=loss,
        opt=OPTIMIZERS[r.choice(RULES)],
        dtype=r.choice((np.float32, np.float32, np.float64)),
        weighted=r.random() < 0.3,
        shards=r.choice((1, 1, 1, 2, 3)) if loss.additive else 1,
        sizes={} if real or r.random() < 0.5 else r.choice(SMALL),
        columns=r.random() < 0.1,
        members=members,
    )
    case.opt.init(case.net.init(fn.Key(0), start.in_shape)[0])  # some rules ask for params of some names
    return case._replace(printed=r.random() < 0.3 and not case.weighted and case.shards == 1)


def objective(r: random.Random, shape: Any) -> tuple[Any, list[Any]]:
    """A loss, and layers that make an output for it."""
    draw = r.random()
    if draw < 0.5:
        return r.choice(list(REGRESSION.values())), []
    if draw < 0.6:
        return losses.BinaryCrossEntropy(), [fn.Sigmoid()]
    if draw < 0.7:
        return losses.SigmoidCrossEntropy(), []
    if draw < 0.85:
        return r.choice((SOFTMAX, SMOOTH)), [fn.Dense(3)]
    if draw < 0.92:
        return losses.NegativeLogLikelihood(), [fn.LogSoftmax()]
    weights = r.choice((None, (0.5, 2.0)))
    return losses.Multi((losses.Huber(), SOFTMAX), weights=weights), [fn.branch(fn.Dense(2), fn.Dense(4))]


def fixed(in_shape: Any, *layers: Any, batch: int = 16, **how: Any) -> Case:
    """A case by hand, on normal inputs."""
    out = fn.serial(*layers).out_shape(in_shape)
    loss = SOFTMAX if len(out) == 1 and out[0] == 3 else losses.MeanSquaredError()
    return Case(layers, Row(fn.Identity(), in_shape), batch, loss, **how)


FLIP = fn.Permute((1, 0))
FIXED: dict[str, Case] = {
    f"{name} {np.dtype(dtype)}": case._replace(dtype=dtype)
    for dtype in (np.float32, np.float64)
    for name, case in {
        "permute, tanh, layer norm": fixed((64, 48), FLIP, fn.Tanh(), fn.LayerNorm(), fn.Flatten(), fn.Dense(3)),
        "permute, gelu, batch norm": fixed((64, 48), FLIP, fn.Gelu(), fn.BatchNorm(), fn.Flatten(), fn.Dense(3)),
        "permute, tanh, average": fixed((64, 48), FLIP, fn.Tanh(), fn.GlobalAveragePool(), fn.Dense(3), batch=64),
        "permute, dropout, pool": fixed((48, 64), FLIP, fn.Dropout(0.3), fn.Tanh(), fn.SequencePool(), fn.Dense(3)),
        "lstm, tanh, batch norm": fixed((24, 48), fn.LSTM(64), fn.Tanh(), fn.BatchNorm(), fn.Flatten(), fn.Dense(3)),
        "lstm, batch norm": fixed((24, 48), fn.LSTM(64), fn.BatchNorm(), fn.SequencePool(), fn.Dense(3), batch=32),
        "lstm states": fixed((12, 48), fn.LSTM(64), fn.LayerNorm(), batch=128),
        "gru": fixed((12, 48), fn.GRU(64, return_sequences=False), fn.Dense(3), batch=32),
        "gru of one number": fixed((5, 2), fn.GRU(2, return_sequences=False), fn.Dense(1), sizes=SMALL[0]),
        "bidirectional": fixed((12, 48), fn.Bidirectional(fn.RNN(48)), fn.BatchNorm(), fn.SequencePool("max")),
        "one query": fixed((1, 48), fn.MultiHeadAttention(4), fn.Flatten(), fn.Dense(3), batch=64),
        "one head, one query": fixed((1, 64), fn.MultiHeadAttention(1, causal=True), fn.LayerNorm()),
        "one query of many keys": fixed(((1, 64), (24, 64), (24, 48)), fn.DotProductAttention(), fn.Flatten()),
        "one query across": fixed(((1, 48), (24, 32)), fn.MultiHeadAttention(4, cross=True), fn.LayerNorm()),
        "attention": fixed((24, 64), fn.MultiHeadAttention(4), fn.LayerNorm(), fn.SequencePool(), fn.Dense(3)),
        "ensemble": fixed((48,), fn.Ensemble(fn.serial(fn.Dense(32), fn.Tanh(), fn.BatchNorm()), 3), batch=64),
        "one feature": fixed((1,), fn.branch(fn.Dense(3), fn.Dense(1)), fn.Concat(), batch=128),
        "one output": fixed((200,), fn.Dense(48), fn.Relu(), fn.Dense(1), batch=128),
        "one row": fixed((200,), fn.Dense(48), fn.Relu(), fn.Dense(3), batch=1),
        "groups": fixed((12, 12, 8), fn.Conv2D(16, 3, groups=4), fn.BatchNorm(), fn.GlobalAveragePool(), fn.Dense(3)),
        "columns": fixed((64, 48), fn.Tanh(), fn.LayerNorm(), fn.Flatten(), fn.Dense(3), columns=True),
    }.items()
}
"""Networks at sizes where sums and products run in another order once their memory does"""

# ----- smaller cases --------------------------------------------------------------------------------------------------


def failure(case: Case) -> tuple[str, str] | None:
    """The kind and the details of what is wrong with a case."""
    try:
        case.check()
    except Difference as difference:
        return difference.kind, difference.detail
    except fn.CompileWarning as warning:
        return "falls back", str(warning)
    return None


def smaller(case: Case) -> Case:
    """A case of fewer layers and simpler training that fails in the same way."""
    first = failure(case)

    def still(other: Case) -> bool:
        try:
            found = failure(other)
        except Exception:
            return False
        return found is not None and first is not None and found[0] == first[0]

    simple = {"opt": optim.SGD(0.1), "loss": losses.MeanSquaredError()}
    for name in ("sizes", "printed", "columns", "weighted", "shards", "members", "opt", "loss"):
        other = case._replace(**{name: simple.get(name, Case._field_defaults.get(name))})
        if name == "members" and case.members:
            other = other._replace(loss=case.loss.loss)
        case = other if other != case and still(other) else case
    changed = True
    while changed:
        changed = False
        for i in range(len(case.layers) - 1, -1, -1):
            for instead in ((), *parts(case.layers[i])):
                other = case._replace(layers=case.layers[:i] + instead + case.layers[i + 1 :])
                if still(other):
                    case, changed = other, True
                    break
    return case


def parts(layer: Any) -> list[tuple[Any, ...]]:
    """What may stand in place of a layer: the layers inside it, together or one of them."""
    if isinstance(layer, fn.Serial):
        return [tuple(one for _, one in layer.layers)]
    inner = [layer.layer] if hasattr(layer, "layer") else [one for _, one in getattr(layer, "layers", ())]
    return [(one,) for one in inner]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:200", help="first:past, or one seed")
    parser.add_argument("--fixed", action="store_true", help="the networks written down by hand")
    parser.add_argument("--whole", action="store_true", help="print cases as they are, not made smaller")
    options = parser.parse_args(argv)
    first, _, past = options.seeds.partition(":")
    names: list[Any] = list(FIXED) if options.fixed else list(range(int(first), int(past or int(first) + 1)))
    tally: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for name in names:
        case = FIXED[name] if options.fixed else network(name)
        try:
            tally[case.check()] += 1
            continue
        except (Difference, fn.CompileWarning) as error:
            kind = getattr(error, "kind", "falls back")
        tally[kind] += 1
        case = case if options.whole else smaller(case)
        found = failure(case) or (kind, "")
        what = f"{kind} | {' | '.join(type(one).__name__ for one in case.layers)}"
        seen[what] += 1
        if seen[what] == 1:
            print(f"seed {name}: {found[0]}: {found[1]}\n{case}\n", flush=True)
    report(networks=tally, differences=seen)
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
