"""Training steps in every library, interleaved: ``python tests/benchmarks/steps.py``, with what is installed.

Every library runs in a process of its own, pinned to as many cores as it has threads; one runs at a time, the others
are stopped. A round gives each of them a turn, every other round in reverse, and a turn is many steps, each timed.
A figure is the median over rounds of the median step of a turn; a ratio that of the two turns of one round. The
workloads, and the libraries' code, are in ``workloads.py``.

    --inference   ``predict`` for one row and for 64, and how long a fresh process takes to its first answer
                  (funcnet imports its parts on first use, so that most of its import is in the answer)
    --processes   whole processes, from start to a network trained on the digits
"""

import argparse
import importlib
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from workloads import INFERENCE, LIBRARIES, WORKLOADS, Unsupported, Workload

ROOT = Path(__file__).parents[2]
TURN = 0.3  # seconds that a library runs at a time
SPAWN = multiprocessing.get_context("spawn")


# ----- a worker ----------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """The repeated call: a training step, or the prediction of ``rows`` rows if that is not 0."""

    workload: Workload
    rows: int = 0

    def build(self, library: str) -> Callable[[], Any]:
        entry = LIBRARIES[library]
        return entry.predict(self.workload, self.rows) if self.rows and entry.predict else entry.train(self.workload)

    @property
    def name(self) -> str:
        return f"{self.rows} row{'s' * (self.rows > 1)}" if self.rows else self.workload.name


def serve(library: str, pipe: Any) -> None:
    """Answer ("set up", task) with (first loss, seconds of a call), and ("run", k) with the seconds of k calls."""
    call: Callable[[], Any] = lambda: None  # noqa: E731
    while True:
        try:
            order, argument = pipe.recv()
            if order == "set up":
                call = argument.build(library)
                first = call()
                loss = None if argument.rows or first is None else getattr(first, "item", lambda: first)()
                pipe.send((loss, statistics.median(timed(call, 3) + timed(call, 0.1))))
            else:
                timed(call, argument // 20 + 1)
                pipe.send(timed(call, argument))
        except EOFError:
            return
        except Exception as error:  # the parent says so and goes on without
            pipe.send(error if isinstance(error, Unsupported) else RuntimeError(f"{type(error).__name__}: {error}"))


def timed(call: Callable[[], Any], amount: float) -> list[float]:
    """The seconds of each call: of a number of calls (an integer), or of those that fit into a time (a float)."""
    clock, times = time.perf_counter, []
    end = clock() + amount
    while len(times) < amount if isinstance(amount, int) else clock() < end:
        began = clock()
        call()
        times.append(clock() - began)
    return times


def cold(library: str, pipe: Any) -> None:
    """In a fresh process: the seconds of the import, and from there to the first answer for one row."""
    began = time.perf_counter()
    importlib.import_module(LIBRARIES[library].modules[0])
    imported = time.perf_counter()
    Task(INFERENCE, 1).build(library)()
    pipe.send((imported - began, time.perf_counter() - imported))


class Worker:
    """A process with one library, stopped but for the time of an order: idle threads of a BLAS may spin."""

    def __init__(self, library: str) -> None:
        self.pipe, other = SPAWN.Pipe()
        self.process = SPAWN.Process(target=serve, args=(library, other), daemon=True)
        self.process.start()
        other.close()

    def order(self, order: str, argument: Any) -> Any:
        """The answer; what the worker raised is raised here."""
        os.kill(self.process.pid, signal.SIGCONT)
        self.pipe.send((order, argument))
        answer = self.pipe.recv()
        os.kill(self.process.pid, signal.SIGSTOP)
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def workers(libraries: list[str]) -> Iterator[dict[str, Worker]]:
    """A worker for each library, killed at the end: a stopped process hears nothing else."""
    running: dict[str, Worker] = {}
    try:
        for library in libraries:
            running[library] = Worker(library)
        yield running
    finally:
        for worker in running.values():
            worker.process.kill()
            worker.process.join()


# ----- measuring ---------------------------------------------------------------------------------------------


def measure(
    task: Task, running: dict[str, Worker], rounds: int, without: dict[str, list[str]]
) -> dict[str, list[list[float]]]:
    """For each library that knows the task, the seconds of every call of every round."""
    steps, losses = {}, {}
    for library, worker in running.items():
        try:
            losses[library], seconds = worker.order("set up", task)
            steps[library] = int(min(max(TURN / seconds, 5), 5000))
        except (Unsupported, RuntimeError) as error:
            without.setdefault(f"{library}: {error}", []).append(task.name)
    known = {library: loss for library, loss in losses.items() if loss is not None}
    if known and max(known.values()) - min(known.values()) > 1e-3 * abs(max(known.values())):
        print(f"{task.name}: the first losses differ: {known}")
    turns: dict[str, list[list[float]]] = {library: [] for library in steps}
    for i in range(rounds):
        for library in list(steps) if i % 2 == 0 else reversed(steps):
            turns[library].append(running[library].order("run", steps[library]))
    return turns


def middles(turns: list[list[float]]) -> list[float]:
    """The median of each turn."""
    return [statistics.median(turn) for turn in turns]


def ratio(turns: dict[str, list[list[float]]], above: str, below: str) -> float | None:
    """The median over rounds of one library's median over another's, where both were measured."""
    if not (turns.get(above) and turns.get(below)):
        return None
    pairs = zip(middles(turns[above]), middles(turns[below]), strict=True)
    return statistics.median(a / b for a, b in pairs)


def train(tasks: list[Task], libraries: list[str], rounds: int) -> None:
    """Print the tables of training steps."""
    without: dict[str, list[str]] = {}
    results = {}
    with workers(libraries) as running:
        for task in tasks:
            results[task.name] = measure(task, running, rounds, without)
            print(f"measured {task.name}", file=sys.stderr, flush=True)
    cells = {name: {k: middles(v) for k, v in turns.items()} for name, turns in results.items()}
    for title, of in (("median of the rounds", statistics.median), ("best round", min)):
        rows = {name: {k: 1e6 * of(v) for k, v in row.items()} for name, row in cells.items()}
        table(f"microseconds a step, {title}", rows, libraries)
    rows = {
        name: {k: ratio(turns, k, "funcnet") for k in libraries} | {"funcnet/bare": ratio(turns, "funcnet", "bare")}
        for name, turns in results.items()
    }
    columns = [k for k in libraries if k not in ("funcnet", "bare")]
    table("ratios: a library's time / funcnet's; funcnet's / the bare products'", rows, [*columns, "funcnet/bare"])
    for reason, names in without.items():
        print(f"{reason} ({len(names)} not measured: {', '.join(names)})")


def infer(libraries: list[str], rounds: int) -> None:
    """Print the table of predictions, NumPy in and NumPy out."""
    libraries = [library for library in libraries if LIBRARIES[library].predict]
    rows: dict[str, dict[str, float | None]] = {}
    with workers(libraries) as running:
        for task in (Task(INFERENCE, 1), Task(INFERENCE, INFERENCE.batch)):
            turns = measure(task, running, rounds, {})
            rows[f"{task.name}, median"] = {k: 1e6 * statistics.median(middles(v)) for k, v in turns.items()}
            rows[f"{task.name}, 99 %"] = {
                k: 1e6 * statistics.quantiles([seconds for turn in v for seconds in turn], n=100)[98]
                for k, v in turns.items()
            }
            rows[f"{task.name}, / funcnet"] = {k: ratio(turns, k, "funcnet") for k in turns}
    starts = {library: [cold_start(library) for _ in range(rounds)] for library in libraries}
    for i, name in enumerate(("import, ms", "first answer after it, ms")):
        rows[name] = {k: 1e3 * statistics.median(start[i] for start in v) for k, v in starts.items()}
    network = "-".join(map(str, INFERENCE.sizes))
    table(f"predictions of {network}, microseconds (the import: with NumPy there already)", rows, libraries)


def cold_start(library: str) -> tuple[float, float]:
    """What ``cold`` says in a process of its own."""
    here, there = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=cold, args=(library, there), daemon=True)
    process.start()
    there.close()
    answer = here.recv()
    process.join()
    return answer


def table(title: str, rows: dict[str, dict[str, float | None]], columns: list[str]) -> None:
    """Print numbers in three digits or more, a dash where there is none."""
    wide = max(map(len, rows))
    print(f"\n{title}\n{'':{wide}}", *(f"{column:>13}" for column in columns))
    for name, row in rows.items():
        values = (row.get(column) for column in columns)
        texts = ("-" if v is None else f"{v:.2f}" if v < 10 else f"{v:.1f}" if v < 100 else f"{v:.0f}" for v in values)
        print(f"{name:{wide}}", *(f"{text:>13}" for text in texts), flush=True)


# ----- whole processes ---------------------------------------------------------------------------------------

READ = f"""
import numpy as np
data = np.load({str(ROOT / "funcnet" / "data" / "digits.npz")!r})
order = np.random.RandomState(0).permutation(1797)
x, y = data["x"].astype(np.float32)[order], data["y"].astype(np.int64)[order]
deviation = x[360:].std(axis=0)
x = (x - x[360:].mean(axis=0)) / np.where(deviation > 0, deviation, np.float32(1))
"""
FUNCNET = """
import funcnet as fn
net = fn.serial(fn.Dense(64), fn.Relu(), fn.Dense(64), fn.Relu(), fn.Dense(10))
ts = fn.fit(net, (x[360:], y[360:]), loss=fn.losses.SoftmaxCrossEntropy(), optimizer=fn.optim.Adam(1e-3), epochs=40,
            key=fn.Key(0)).train_state
print((fn.predict(net, ts.params, ts.state, x[:360]).argmax(1) == y[:360]).mean())
"""
TORCH = """
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
opt, loss = torch.optim.Adam(net.parameters(), lr=1e-3), nn.CrossEntropyLoss()
x, y = torch.from_numpy(x), torch.from_numpy(y)
x_train, y_train = x[360:], y[360:]
for _ in range(40):
    for rows in torch.randperm(len(x_train)).split(32):
        opt.zero_grad()
        loss(net(x_train[rows]), y_train[rows]).backward()
        opt.step()
with torch.inference_mode():
    print((net(x[:360]).argmax(1) == y[:360]).double().mean().item())
"""
JAX = """
import jax, optax
from functools import partial
rng = np.random.default_rng(0)
params = [((rng.standard_normal((n, m)) * (2 / (n + m)) ** 0.5).astype(np.float32), np.zeros(m, np.float32))
          for n, m in ((64, 64), (64, 64), (64, 10))]
opt = optax.adam(1e-3)
def forward(params, x):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    return x @ params[-1][0] + params[-1][1]
def loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y).mean()
@partial(jax.jit, donate_argnums=(0, 1))
def step(params, state, x, y):
    updates, state = opt.update(jax.grad(loss)(params, x, y), state, params)
    return optax.apply_updates(params, updates), state
params = jax.device_put(params)
state = jax.jit(opt.init)(params)
x_train, y_train = x[360:], y[360:]
for _ in range(40):
    order = rng.permutation(len(x_train))
    for i in range(0, len(order), 32):
        params, state = step(params, state, x_train[order[i : i + 32]], y_train[order[i : i + 32]])
print((np.asarray(jax.jit(forward)(params, x[:360])).argmax(1) == y[:360]).mean())
"""
SKLEARN = """
import warnings
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
mlp = MLPClassifier((64, 64), alpha=0.0, batch_size=32, max_iter=40, n_iter_no_change=1000, random_state=0)
mlp.fit(x[360:], y[360:])
print(mlp.score(x[:360], y[:360]))
"""
SPEC = ROOT / "specs" / "digits_mlp.json"
PROCESSES = {
    "funcnet": ["-c", READ + FUNCNET],
    "torch": ["-c", READ + TORCH],
    "jax": ["-c", READ + JAX],
    "sklearn": ["-c", READ + SKLEARN],
    "funcnet train": ["-m", "funcnet", "train", str(SPEC), "--progress", "none"],
}


def processes(libraries: list[str], rounds: int) -> None:
    """Print how long whole processes take, and the accuracy that each ends with."""
    times: dict[str, list[float]] = {name: [] for name in PROCESSES if name.split()[0] in libraries}
    says = {}
    for _ in range(rounds):
        for name in times:
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                command = [sys.executable, *PROCESSES[name]]
                done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
                times[name].append(time.perf_counter() - began)
            says[name] = next(line for line in reversed(done.stdout.split("\n")) if line[:1] == "0" or "test" in line)
    print("\nseconds of a process that trains on the digits: 64-64-64-10, 40 epochs of batch 32, Adam")
    for name, seconds in times.items():
        above = f"{statistics.median(seconds) / statistics.median(times['funcnet']):6.2f}" if "funcnet" in times else ""
        print(
            f"{name:14} {statistics.median(seconds):7.2f}   best {min(seconds):7.2f}   / funcnet {above}   {says[name]}"
        )


# ----- the command -------------------------------------------------------------------------------------------


def confine(threads: int) -> None:
    """Pin this process, and so all that it starts, and bound their threads; they import nothing before."""
    names = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM")
    os.environ.update({f"{name}_NUM_THREADS": str(threads) for name in names})
    eigen = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    os.environ.update(NPROC=str(threads), XLA_FLAGS=eigen, JAX_PLATFORMS="cpu", PYTHONPATH=str(ROOT))
    sys.path.insert(1, str(ROOT))  # what is measured is the funcnet of this checkout
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def installed(wanted: str | None) -> list[str]:
    """The libraries that are wanted (``torch`` means ``torch-fused`` as well) and can be imported."""
    names = list(LIBRARIES)
    if wanted:
        asked = wanted.split(",")
        for name in set(asked) - set(names):
            sys.exit(f"no library {name!r}; there are {', '.join(names)}")
        names = [name for name in names if name in asked or name.split("-")[0] in asked]
    roots = {name: [module.split(".")[0] for module in LIBRARIES[name].modules] for name in names}
    missing = {name: [root for root in roots[name] if not find_spec(root)] for name in names}
    for name in names:
        if missing[name]:
            print(f"{name}: skipped, not installed: {', '.join(missing[name])}")
    return [name for name in names if not missing[name]]


def describe(threads: int) -> None:
    """Print what the figures depend on."""
    parts = [f"Python {sys.version.split()[0]}"]
    for name in ("numpy", "torch", "jax", "optax", "scikit-learn", "thinc"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "any"
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{', '.join(parts)}\n{threads} thread{'s' * (threads > 1)}, cores {cores}, load before {load}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1)
    parser.add_argument("--only", action="append", metavar="NAME", help="workloads with this in their names")
    parser.add_argument("--libraries", metavar="A,B", help=f"of {','.join(LIBRARIES)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--processes", action="store_true")
    options = parser.parse_args()
    tasks = [Task(w) for w in WORKLOADS if any(name in w.name for name in options.only or [""])]
    if not tasks:
        sys.exit(f"no such workload; there are {', '.join(w.name for w in WORKLOADS)}")
    confine(options.threads)
    describe(options.threads)
    libraries = installed(options.libraries)
    if options.inference:
        infer(libraries, options.rounds)
    if options.processes:
        processes(libraries, options.rounds)
    if not (options.inference or options.processes):
        train(tasks, libraries, options.rounds)


if __name__ == "__main__":
    main()
