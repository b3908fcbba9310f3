"""``funcnet generate``"""

from __future__ import annotations

import argparse
import json

import numpy as np

from funcnet.data.sources.text import Text, decode, encode
from funcnet.errors import DataError
from funcnet.experiments.stored import load_run
from funcnet.key import Key
from funcnet.networks.decoding import generate


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``funcnet generate``."""
    parser.add_argument("spec", metavar="RUN", help="the folder of a run trained on text")
    parser.add_argument("--prompt", default="\n", help="what the text begins with (default: a new line)")
    parser.add_argument("--length", type=int, default=400, metavar="N", help="the characters to add (default: 400)")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="T", help="0: the likeliest (default: 0.8)")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw only from the K likeliest characters")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the draws (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the text as JSON")


def run(options: argparse.Namespace) -> int:
    """Continue a prompt with the trained model, and print both."""
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
