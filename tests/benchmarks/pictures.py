"""Draw the pictures of the README and the guide again: ``python tests/benchmarks/pictures.py [FOLDER]``."""

import contextlib
import csv
import os
import shutil
import sys
import tempfile
from pathlib import Path

import funcnet as fn
from funcnet.cli import main

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # for a program of its folder

from tests.benchmarks.drawings import DRAWINGS  # noqa: E402

FOLDER = ROOT / "funcnet" / "guide" / "pictures"
NAME = "spirals"


def draw(folder: Path) -> None:
    """Draw all pictures into a folder."""
    for name, drawing in DRAWINGS.items():
        (folder / f"{name}.svg").write_text(drawing(), encoding="ascii")
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / NAME
        fn.run(fn.load_spec(ROOT / "specs" / f"{NAME}.json"), out=run)
        for picture in ("boundary", "curves"):
            shutil.move(run / f"{picture}.svg", folder / f"{NAME}_{picture}.svg")
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch), open(os.devnull, "w") as null:
        table = fn.data.penguins()
        rows = [row for row in zip(*table.values(), strict=True) if None not in row]
        with open("penguins.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([table, *rows])
        with contextlib.redirect_stdout(null):
            calibrated = ("--set", "training.calibrate=true", "--set", "data.split.validation=0.25")
            for command in (
                ("init", "penguins.csv", "--target", "sex"),
                ("train", "penguins.json", *calibrated, "--out", "penguins", "--progress", "none"),
                ("explain", "penguins", "--data", "penguins.csv", "--out", "importance.svg"),
                ("evaluate", "penguins", "--data", "penguins.csv", "--pictures"),
            ):
                assert main(list(command)) == 0
        shutil.move("importance.svg", folder / "penguins_importance.svg")
        shutil.move("penguins/reliability.svg", folder / "penguins_reliability.svg")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
