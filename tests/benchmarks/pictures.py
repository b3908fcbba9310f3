"""Draw the README's pictures again: ``python tests/benchmarks/pictures.py [FOLDER]``."""

import sys
from pathlib import Path

import funcnet as fn

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "funcnet" / "guide" / "pictures"
NAME = "spirals"


def draw(folder: Path) -> None:
    """Train the spirals and keep the two pictures of the run."""
    run = folder / NAME
    fn.run(fn.load_spec(ROOT / "specs" / f"{NAME}.json"), out=run)
    for picture in ("boundary", "curves"):
        (run / f"{picture}.svg").replace(folder / f"{NAME}_{picture}.svg")
    for file in run.iterdir():
        file.unlink()
    run.rmdir()


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
