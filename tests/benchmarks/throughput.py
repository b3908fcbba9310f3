"""Seconds and memory of the commands on a large table: ``python tests/benchmarks/throughput.py [--rows 1000000]``.

Writes a CSV file of mixed columns (numbers, categories, a date, gaps; about 90 bytes a row), trains a classifier on its
first 20 000 rows, and runs each command in a process of its own, with one core and one BLAS thread. Each line has the
least seconds of the processor in ``--runs`` tries, and the most resident megabytes of the process. Less than this
process itself takes, about 120 MB, is not seen.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
COMMANDS = ("predict", "predict --json", "program", "predict -", "evaluate", "check", "train", "init")
CHUNK = 50_000


def write_table(path: Path, rows: int) -> None:
    """A table whose label depends on a number, a category and a date."""
    cities = np.array(["Amsterdam", "Berlin", "Copenhagen", "Dublin", "Edinburgh", "Florence", "Geneva", "Helsinki"])
    plans = np.array(["basic", "standard", "premium"])
    rng = np.random.default_rng(0)
    with open(path, "w", newline="") as file:
        file.write("id,income,age,balance,score,ratio,visits,city,plan,joined,left\n")
        for begin in range(0, rows, CHUNK):
            count = min(CHUNK, rows - begin)
            number = rng.normal(size=(count, 4))
            age, visits = rng.integers(18, 90, count), rng.poisson(6, count)
            city, plan = rng.integers(len(cities), size=count), rng.integers(len(plans), size=count)
            days = np.datetime64("2015-01-01") + rng.integers(0, 3650, count)
            odds = number[:, 0] + 0.03 * (age - 50) + 0.5 * plan - 0.2 * city + rng.logistic(size=count)
            columns = [
                [f"{begin + i}" for i in range(count)],
                np.where(rng.random(count) < 0.02, "", np.char.mod("%.2f", 50_000 + 9_000 * number[:, 0])).tolist(),
                age.astype(str).tolist(),
                np.char.mod("%.3f", 1_000 * number[:, 1]).tolist(),
                np.char.mod("%.12f", number[:, 2]).tolist(),
                np.where(rng.random(count) < 0.05, "NA", np.char.mod("%.6f", number[:, 3])).tolist(),
                visits.astype(str).tolist(),
                np.where(rng.random(count) < 0.01, "", cities[city]).tolist(),
                plans[plan].tolist(),
                days.astype(str).tolist(),
                np.where(odds > 0, "yes", "no").tolist(),
            ]
            file.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))


def spec(path: str) -> dict[str, object]:
    """An experiment on this table."""
    return {
        "version": 1,
        "data": {
            "type": "csv",
            "path": path,
            "target": "left",
            "inputs": ["income", "age", "balance", "score", "ratio", "visits", "city", "plan", "joined"],
            "categorical": ["city", "plan"],
            "dates": ["joined"],
            "impute": "median",
            "scale": "standard",
            "split": {"test": 0.1},
        },
        "model": {"type": "serial", "layers": [{"type": "dense", "units": 32}, "relu", {"type": "dense", "units": 2}]},
        "loss": "softmax_cross_entropy",
        "metrics": ["accuracy"],
        "optimizer": "adam",
        "training": {"epochs": 1, "batch_size": 256},
    }


def measured(command: list[str], folder: Path, stdin: Path | None) -> tuple[float, float]:
    """The seconds of a processor that a process takes, and its most resident megabytes."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    env = os.environ | threads | {"PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    with (
        open(folder / "stdout", "wb") as out,
        open(folder / "stderr", "wb") as errors,
        open(stdin or os.devnull) as given,
    ):
        streams = [(os.POSIX_SPAWN_DUP2, file.fileno(), i) for i, file in enumerate((given, out, errors))]
        process = os.posix_spawn(command[0], command, env, file_actions=streams)
        _, status, used = os.wait4(process, 0)
    if status:
        sys.exit(f"{' '.join(command)}: {(folder / 'stderr').read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", metavar="COMMAND", help=f"one of {', '.join(COMMANDS)}")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the files in this folder, and use those that are there")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(options.keep or name)
        folder.mkdir(exist_ok=True)
        table, run, program = folder / f"table{options.rows}.csv", folder / "run", folder / "program.py"
        for path, rows in ((table, options.rows), (folder / "some.csv", 20_000)):
            if not path.exists():
                write_table(path, rows)
        for file, path in (("all.json", table.name), ("some.json", "some.csv")):
            (folder / file).write_text(json.dumps(spec(path)))
        shutil.rmtree(run, ignore_errors=True)
        funcnet = [sys.executable, "-m", "funcnet"]
        measured([*funcnet, "train", str(folder / "some.json"), "--out", str(run)], folder, None)
        measured([*funcnet, "source", str(run), "--inference", "--out", str(program)], folder, None)
        every = {
            "predict": [*funcnet, "predict", str(run), str(table)],
            "predict --json": [*funcnet, "predict", str(run), str(table), "--json"],
            "program": [sys.executable, str(program), str(table)],
            "predict -": [*funcnet, "predict", str(run), "-"],
            "evaluate": [*funcnet, "evaluate", str(run), "--data", str(table)],
            "check": [*funcnet, "check", str(folder / "all.json")],
            "train": [*funcnet, "train", str(folder / "all.json"), "--out", str(folder / "large")],
            "init": [*funcnet, "init", str(table), "--out", str(folder / "init.json"), "--force"],
        }
        print(f"{options.rows:,} rows, {table.stat().st_size / 1e6:.0f} MB; best of {options.runs}")
        for command in options.only or COMMANDS:
            figures = []
            for _ in range(options.runs):
                shutil.rmtree(folder / "large", ignore_errors=True)
                figures.append(measured(every[command], folder, table))
            seconds, memory = min(one[0] for one in figures), max(one[1] for one in figures)
            print(f"{command:16}{seconds:8.1f} s{memory:8.0f} MB", flush=True)


if __name__ == "__main__":
    main()
