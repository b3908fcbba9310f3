"""``funcnet generate``"""

from __future__ import annotations

import argparse
import json

import numpy as np

from funcnet.data.sources.text import Text, decode, encode
from funcnet.errors import DataError
from funcnet.experiments.folder import load_run
from funcnet.key import Key
from funcnet.networks.decoding import generate


def print_text(options: argparse.Namespace) -> int:
    """Continue a prompt by what a run has learnt, and print both."""
    run = load_run(options.spec)
    source = run.experiment.data
    if not isinstance(source, Text):
        raise DataError(f"{options.spec}: expected a run trained on text, got one on {type(source).__name__}")
    prompt = encode(options.prompt)
    if len(prompt) == 0:
        raise DataError(f"--prompt: expected at least one character of the alphabet, got {options.prompt!r}")
    indices = generate(
        run.experiment.model,
        run.params,
        run.train_state.state,
        prompt[None],
        options.length,
        Key(options.seed),
        temperature=options.temperature,
        top_k=options.top_k,
        context=source.length,
    )
    text = decode(np.concatenate([prompt, indices[0]]))
    print(json.dumps({"text": text}) if options.json else text)
    return 0
