"""What recording a training step costs, and what it brings: ``python tests/benchmarks/recording.py [table …]``.

Tables are ``nets``, ``batches`` and ``pickled``, all of them by default; every row comes from a process of its own.

    nets      recording (the CPU time of the first compiled step without a plain one, and the growth of resident memory,
              most of which Python can use again) and the steps after it, for n times Dense(16) and Relu,
              Branch and Repeat of n, and LSTM
    batches   steps that go through k batch sizes again and again, after each has been seen twice
    pickled   steps on arrays that came out of ``pickle.loads``, whose dtype is equal to NumPy's but another object

    --sizes 10,100,300,1000,3000   the n; one that is refused is named and left out
    --only NAME                    rows with this in their names

Times are CPU times of one thread, medians over steps. Pin the process (``taskset -c 1``). PYTHONPATH chooses the
funcnet that is measured, this checkout by default.
"""

import argparse
import gc
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
SIZES = (10, 100, 300, 1000, 3000)
BATCHES = (8, 32, 33, 64, 200)
TURN = 0.5  # CPU seconds of steps that a median is taken of, at least
Row = dict[str, float | str]


# ----- measuring -----------------------------------------------------------------------------------------------


def cpu(call: Callable[[], Any]) -> float:
    """The CPU seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def typical(*calls: Callable[[], Any], least: int = 5) -> list[float]:
    """The median CPU milliseconds of each call, by turns, as many as fit into the time for each."""
    repeats = [max(1, int(1e-3 / max(min(cpu(call) for _ in range(3)), 1e-7))) for call in calls]
    times: list[list[float]] = [[] for _ in calls]
    end = time.process_time() + TURN * len(calls)
    while len(times[0]) < least or time.process_time() < end:
        for call, n, found in zip(calls, repeats, times, strict=True):
            found.append(cpu(lambda: [call() for _ in range(n)]) / n)
    return [1e3 * statistics.median(found) for found in times]


def resident() -> float:
    """Resident megabytes; 0 where that cannot be read."""
    gc.collect()
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if status.exists() else 0.0


class Training:
    """A network with its state and a batch, trained by the compiled or the plain step."""

    def __init__(self, net: Any, in_shape: tuple[int, ...], out: int, opt: Any = None, batch: int = 8) -> None:
        import funcnet as fn

        self.opt = opt or fn.optim.Adam(1e-6)
        self.ts = fn.train_state(net, self.opt, fn.Key(0), in_shape)
        self.batch = self.data(in_shape, out, batch)
        loss = fn.losses.MeanSquaredError()
        self.compiled = fn.train_step(net, loss, self.opt)
        self.plain = fn.train_step(net, loss, self.opt, compile=False)

    @staticmethod
    def data(in_shape: tuple[int, ...], out: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        return rng.standard_normal((batch, *in_shape), np.float32), rng.standard_normal((batch, out), np.float32)

    def step(self, step: Any, batch: Any = None) -> None:
        self.ts, _ = step(self.ts, batch or self.batch)


# ----- nets ----------------------------------------------------------------------------------------------------


def networks() -> dict[str, Callable[[int], Training]]:
    """By name, what makes a training of size n."""
    import funcnet as fn

    def deep(n: int, opt: Any) -> Training:
        layers = [layer for _ in range(n) for layer in (fn.Dense(16), fn.Relu())]
        return Training(fn.serial(*layers, fn.Dense(1)), (16,), 1, opt)

    def wide(n: int) -> Training:
        parts = {f"part_{i}": fn.serial(fn.Dense(4), fn.Tanh()) for i in range(n)}
        return Training(fn.serial(fn.branch(**parts), fn.Concat(), fn.Dense(1)), (16,), 1)

    def repeated(n: int) -> Training:
        return Training(fn.serial(fn.Repeat(fn.serial(fn.Dense(16), fn.Relu()), n), fn.Dense(1)), (16,), 1)

    def recurrent(n: int) -> Training:
        return Training(fn.serial(fn.LSTM(16, return_sequences=False), fn.Dense(1)), (n, 4), 1)

    return {
        "dense, adam": lambda n: deep(n, fn.optim.Adam(1e-6)),
        "dense, sgd": lambda n: deep(n, fn.optim.SGD(1e-6)),
        "branch, adam": wide,
        "repeat, adam": repeated,
        "lstm of n steps, adam": recurrent,
    }


def recorded(name: str, n: int) -> Row:
    """A row of the table of networks."""
    from funcnet.errors import FuncnetError

    warm()
    try:
        training = networks()[name](n)
    except FuncnetError as error:
        return {"refused": str(error).splitlines()[-1].strip()}
    training.step(training.plain)
    once = cpu(lambda: training.step(training.plain))
    before = resident()
    first = cpu(lambda: training.step(training.compiled))
    grown = resident() - before
    compiled, plain = typical(lambda: training.step(training.compiled), lambda: training.step(training.plain))
    return {
        "recording, s": first - once,
        "RSS, MB": grown,
        "compiled, ms": compiled,
        "plain, ms": plain,
        "plain / compiled": plain / compiled,
    }


def warm() -> None:
    """Import what a step needs."""
    import funcnet as fn

    tiny = Training(fn.serial(fn.Dense(2), fn.Tanh(), fn.Dense(1)), (2,), 1)
    tiny.step(tiny.plain)
    tiny.step(tiny.compiled)


# ----- batches and pickled arrays ------------------------------------------------------------------------------


def digits() -> Training:
    """The small network of ``workloads.py``: 64-64-10, batch 64, Adam."""
    import funcnet as fn

    return Training(fn.serial(fn.Dense(64), fn.Relu(), fn.Dense(10)), (64,), 10, batch=64)


def cycled(k: int) -> Row:
    """A row of the table of batch sizes."""
    warm()
    training = digits()
    batches = [training.data((64,), 10, 8 + i) for i in range(k)]

    def cycle(step: Any) -> None:
        for batch in batches:
            training.step(step, batch)

    steps = training.compiled, training.plain
    first = [1e3 * cpu(lambda: cycle(step)) / k for step in steps]
    cycle(training.compiled)
    compiled, plain = (ms / k for ms in typical(*(lambda step=step: cycle(step) for step in steps), least=3))
    return {
        "compiled first, ms": first[0],
        "plain first, ms": first[1],
        "compiled, ms": compiled,
        "plain, ms": plain,
        "plain / compiled": plain / compiled,
    }


def pickled(what: str) -> Row:
    """A row of the table of pickled arrays: all of them, the batch alone, or none."""
    warm()
    training = digits()
    training.step(training.compiled)
    if what in ("batch", "everything"):
        training.batch = pickle.loads(pickle.dumps(training.batch))
    start = pickle.loads(pickle.dumps(training.ts)) if what == "everything" else training.ts
    steps = training.compiled, training.plain
    compiled, plain = typical(*(lambda step=step: step(start, training.batch) for step in steps))
    return {"compiled, ms": compiled, "plain, ms": plain, "plain / compiled": plain / compiled}


# ----- the command -------------------------------------------------------------------------------------------------


def rows(table: str, sizes: list[int]) -> dict[str, tuple[str, list[Any]]]:
    """The rows of a table by name: a function of this file, and its arguments."""
    if table == "nets":
        known = ("dense, adam", "dense, sgd", "branch, adam", "repeat, adam", "lstm of n steps, adam")
        return {f"{name}, n = {n}": ("recorded", [name, n]) for name in known for n in sizes}
    if table == "batches":
        return {f"{k} batch sizes": ("cycled", [k]) for k in BATCHES}
    return {f"pickled: {what}": ("pickled", [what]) for what in ("nothing", "batch", "everything")}


def measured(function: str, arguments: list[Any]) -> Row:
    """A row from a fresh process, with one thread and without a chosen BLAS kernel."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    env |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS")}
    env.setdefault("PYTHONPATH", str(ROOT))
    command = [sys.executable, __file__, "--measure", function, json.dumps(arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    return (
        json.loads(done.stdout)
        if not done.returncode
        else {"failed": (done.stderr.strip() or str(done.returncode)).splitlines()[-1]}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="table", help="nets, batches, pickled")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--only", action="append", metavar="NAME", help="rows with this in their names")
    parser.add_argument("--measure", nargs=2, metavar=("FUNCTION", "ARGUMENTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        function, arguments = options.measure
        warnings.simplefilter("error")  # a step that falls back to the plain one is no measurement
        row = {"recorded": recorded, "cycled": cycled, "pickled": pickled}[function](*json.loads(arguments))
        print(json.dumps(row))
        return
    sizes = [int(n) for n in options.sizes.split(",")]
    for table in options.tables or ("nets", "batches", "pickled"):
        columns: list[str] = []
        for name, (function, arguments) in rows(table, sizes).items():
            if not any(part in name for part in options.only or [""]):
                continue
            row = measured(function, arguments)
            reason = next((f"{key}: {row[key]}" for key in ("refused", "failed") if key in row), "")
            if not reason and not columns:
                columns = list(row)
                print(f"\n{'':32}" + "".join(f"{column:>20}" for column in columns))
            print(f"{name:32}" + (reason or "".join(f"{row[column]:20.3f}" for column in columns)), flush=True)


if __name__ == "__main__":
    main()
