"""Train on more than fits into memory: ``python tests/benchmarks/streaming.py [--gigabytes 4.1] [--kind npy|hdf5]``.

Writes a data set of this size (784 float32 features a row, 10 classes whose means differ), trains one epoch of
784-64-10 on it by ``funcnet train`` in a process of its own, and prints the time, the rows a second, the accuracy, and
the most memory that the process held. The set is removed again.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FEATURES, CLASSES, CHUNK = 784, 10, 16_384


def write(folder: Path, rows: int, kind: str) -> dict[str, str]:
    """The set in its files; the data node of a spec that reads them."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    y = rng.integers(CLASSES, size=rows)
    parts = ((begin, y[begin : begin + CHUNK]) for begin in range(0, rows, CHUNK))
    filled = ((begin, 0.2 * means[own] + rng.standard_normal((len(own), FEATURES), np.float32)) for begin, own in parts)
    if kind == "npy":
        with open(folder / "x.npy", "wb") as file:  # not mapped, whose pages would count as this process's memory
            head = {"descr": "<f4", "fortran_order": False, "shape": (rows, FEATURES)}
            np.lib.format.write_array_header_1_0(file, head)
            for _, part in filled:
                file.write(part.tobytes())
        np.save(folder / "y.npy", y)
        return {"type": "npy", "x": "x.npy", "y": "y.npy"}
    import h5py

    with h5py.File(folder / "set.h5", "w") as file:
        x = file.create_dataset("x", (rows, FEATURES), np.float32)
        for begin, part in filled:
            x[begin : begin + CHUNK] = part
        file["y"] = y
    return {"type": "hdf5", "path": "set.h5"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=4.1)
    parser.add_argument("--kind", choices=("npy", "hdf5"), default="npy")
    options = parser.parse_args()
    rows = int(options.gigabytes * 1e9 / (4 * FEATURES))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write(folder, rows, options.kind) | {"split": {"test": 0.1}, "scale": "standard"}
        layers = [{"type": "dense", "units": 64}, "relu", {"type": "dense", "units": CLASSES}]
        spec = {
            "version": 1,
            "data": data,
            "model": {"type": "serial", "layers": layers},
            "loss": "softmax_cross_entropy",
            "metrics": ["accuracy"],
            "optimizer": "adam",
            "training": {"epochs": 1, "batch_size": 256},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        size = sum(path.stat().st_size for path in folder.iterdir())
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "funcnet", "train", str(folder / "spec.json"), "--out", str(folder / "run")],
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        seconds = time.perf_counter() - began
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(f"\n{size / 1e9:.2f} GB, {rows:,} rows: {seconds:.0f} s, most memory {most / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
