"""Memory of training, on Linux: ``python tests/benchmarks/memory.py [--runs 3] [--only NAME] [--libraries A,B]``.

*Peak* is the most memory that four Adam steps need beyond what is there before them. Params, the batch and the
optimizer's state are there, every page of them written to: PyTorch's state is made by an update with gradients of
zero, funcnet's zeros are copied. The rows "fresh" leave that out: PyTorch makes its state at the first update, and
the zeros of funcnet's take no memory until they are replaced. *Arrays* is the same number counted by tracemalloc,
which sees every NumPy array, is the same in every run, and knows nothing of the allocator or of the BLAS.

*Kept* is what stays: after 24 MLPs of half a million params have been trained for three steps and dropped, and after
a transformer of two blocks, which stays, has been trained for two steps on each of 32 sequence lengths, batch 8.

Every figure comes from processes of their own, which first train a tiny network, so that imports, threads and the
buffers of the BLAS are not counted; the libraries take turns, and a figure is the median of the runs. PYTHONPATH
chooses the funcnet that is measured, this checkout by default.
"""

import argparse
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[2]
STEPS, MODELS, LENGTHS = 4, 24, range(33, 65)
Step = Callable[[], Any]


# ----- what a process knows of its memory --------------------------------------------------------------------


def resident() -> float:
    """Resident megabytes, after the allocator has given back what it can."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def forget_peak() -> None:
    """Let the peak start from now."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The most resident megabytes since."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


# ----- networks ----------------------------------------------------------------------------------------------


class Net(NamedTuple):
    """A network by name, with the shapes of its input and output; each library builds it by its own function."""

    name: str
    batch: int
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    width: int = 0

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        return tuple(rng.standard_normal((self.batch, *shape), np.float32) for shape in (self.in_shape, self.out_shape))


NETS = (
    Net("mlp", 1024, (512,), (10,)),  # twenty layers of 512
    Net("conv net", 64, (28, 28, 1), (10,)),  # 1 -> 32 -> 64 channels, two poolings, dense 128
    Net("transformer", 32, (64, 128), (64, 10)),  # four blocks, 128 features, 4 heads
)
TINY = Net("tiny", 4, (4,), (2,))


def ours(net: Net) -> Any:
    import funcnet as fn

    def block() -> list[Any]:
        attention = fn.serial(fn.LayerNorm(), fn.MultiHeadAttention(4, causal=True))
        dense = fn.serial(fn.LayerNorm(), fn.Dense(512), fn.Gelu(), fn.Dense(128))
        return [fn.Residual(attention), fn.Residual(dense)]

    hidden = {
        "tiny": lambda: [fn.Dense(4), fn.Relu()],
        "small mlp": lambda: [fn.Dense(512), fn.Relu(), fn.Dense(net.width), fn.Relu()],
        "mlp": lambda: [layer for _ in range(20) for layer in (fn.Dense(512), fn.Relu())],
        "conv net": lambda: [
            *(fn.Conv2D(32, 3), fn.Relu(), fn.MaxPool2D(2), fn.Conv2D(64, 3), fn.Relu(), fn.MaxPool2D(2)),
            *(fn.Flatten(), fn.Dense(128), fn.Relu()),
        ],
        "transformer": lambda: [layer for _ in range(4) for layer in block()],
        "small transformer": lambda: [layer for _ in range(2) for layer in block()],
    }
    return fn.serial(*hidden[net.name](), fn.Dense(net.out_shape[-1]))


def torchs(net: Net) -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(128), nn.LayerNorm(128)
            self.attention = nn.MultiheadAttention(128, 4, batch_first=True)
            self.dense = nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128))

        def forward(self, x: Any) -> Any:
            n, mask = self.norm_1(x), torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            x = x + self.attention(n, n, n, need_weights=False, is_causal=True, attn_mask=mask)[0]
            return x + self.dense(self.norm_2(x))

    hidden = {
        "tiny": lambda: [nn.Linear(4, 4), nn.ReLU()],
        "small mlp": lambda: [nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, net.width), nn.ReLU()],
        "mlp": lambda: [layer for _ in range(20) for layer in (nn.Linear(512, 512), nn.ReLU())],
        "conv net": lambda: [
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU()),
        ],
        "transformer": lambda: [Block() for _ in range(4)],
        "small transformer": lambda: [Block() for _ in range(2)],
    }
    features = {"tiny": 4, "small mlp": net.width, "mlp": 512}.get(net.name, 128)
    return nn.Sequential(*hidden[net.name](), nn.Linear(features, net.out_shape[-1]))


def trainer(library: str, net: Net, written: bool = True) -> Callable[[np.ndarray, np.ndarray], Any]:
    """``step(x, y)``; the optimizer's state is in memory before it if it is ``written``."""
    if library == "torch":
        import torch

        torch.set_num_threads(1)
        model = torchs(net)
        order = (0, 3, 1, 2) if len(net.in_shape) == 3 else range(len(net.in_shape) + 1)  # channels first
        adam = torch.optim.Adam(model.parameters(), lr=1e-3)
        if written:
            for p in model.parameters():
                p.grad = torch.zeros_like(p)
            adam.step()
            adam.zero_grad()

        def train(x: np.ndarray, y: np.ndarray) -> Any:
            adam.zero_grad()
            error = ((model(torch.from_numpy(x).permute(*order)) - torch.from_numpy(y)) ** 2).mean()
            error.backward()
            adam.step()

        return train

    import funcnet as fn

    model, opt = ours(net), fn.optim.Adam(1e-3)
    ts = fn.train_state(model, opt, fn.Key(0), net.in_shape)
    if written:
        state = fn.tree.map(lambda leaf: leaf.copy(), ts.opt_state)
        ts = fn.TrainState(ts.params, ts.state, state, ts.key, ts.step)
    step = fn.train_step(model, fn.losses.MeanSquaredError(), opt, compile=library == "compiled")

    def train(x: np.ndarray, y: np.ndarray) -> Any:
        nonlocal ts
        ts, _ = step(ts, (x, y))

    return train


def warm(library: str) -> None:
    """Import, start threads, and let a product of matrices fill the buffers of the BLAS."""
    train, (x, y) = trainer(library, TINY), TINY.data()
    for _ in range(2):
        train(x, y)
    large = np.ones((1024, 1024), np.float32)
    if library == "torch":
        import torch

        large = torch.from_numpy(large)
    large @ large.T


# ----- the measurements, each in a process of its own ----------------------------------------------------------


def peak_of_steps(library: str, name: str, written: bool) -> float:
    net = next(net for net in NETS if net.name == name)
    train, (x, y) = trainer(library, net, written), net.data()
    before = resident()
    forget_peak()
    for _ in range(STEPS):
        train(x, y)
    return peak() - before


def arrays_of_steps(library: str, name: str) -> float | None:
    if library == "torch":
        return None
    tracemalloc.start()
    net = next(net for net in NETS if net.name == name)
    train, (x, y) = trainer(library, net), net.data()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for _ in range(STEPS):
        train(x, y)
    return (tracemalloc.get_traced_memory()[1] - before) / 1e6


def kept_of_models(library: str) -> float:
    before = resident()
    for i in range(MODELS):
        net = Net("small mlp", 128, (512,), (10,), 480 + i)
        train, (x, y) = trainer(library, net), net.data()
        for _ in range(3):
            train(x, y)
        del train
    return resident() - before


def kept_of_lengths(library: str) -> float:
    net = Net("small transformer", 8, (LENGTHS[-1], 128), (LENGTHS[-1], 10))
    train, (x, y) = trainer(library, net), net.data()
    before = resident()
    for length in LENGTHS:
        for _ in range(2):
            train(np.ascontiguousarray(x[:, :length]), np.ascontiguousarray(y[:, :length]))
    return resident() - before


CASES: dict[str, Callable[[str], float | None]] = {
    **{f"peak, {net.name}": lambda library, net=net: peak_of_steps(library, net.name, True) for net in NETS},
    **{f"peak, {net.name}, fresh": lambda library, net=net: peak_of_steps(library, net.name, False) for net in NETS},
    **{f"arrays, {net.name}": lambda library, net=net: arrays_of_steps(library, net.name) for net in NETS},
    f"kept, {MODELS} finished MLPs": kept_of_models,
    f"kept, {len(LENGTHS)} sequence lengths": kept_of_lengths,
}
LIBRARIES = ("plain", "compiled", "torch")


# ----- the command -------------------------------------------------------------------------------------------


def measured(library: str, case: str) -> float | None:
    """A case's figure from a fresh process, with one thread and without a chosen BLAS kernel."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    env |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    env.setdefault("PYTHONPATH", str(ROOT))
    command = [sys.executable, __file__, "--measure", library, case]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        print(f"{case}, {library}: {(done.stderr.strip() or str(done.returncode)).splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", action="append", metavar="NAME", help="cases with this in their names")
    parser.add_argument("--libraries", metavar="A,B", default=",".join(LIBRARIES))
    parser.add_argument("--measure", nargs=2, metavar=("LIBRARY", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        library, case = options.measure
        warm(library)
        print(json.dumps(CASES[case](library)))
        return
    libraries = [name for name in options.libraries.split(",") if name != "torch" or find_spec("torch")]
    print(f"megabytes, median of {options.runs} runs")
    print(f"{'':32}" + "".join(f"{name:>12}" for name in libraries))
    for case in CASES:
        if not any(name in case for name in options.only or [""]):
            continue
        rounds = [{library: measured(library, case) for library in libraries} for _ in range(options.runs)]
        cells = []
        for library in libraries:
            figures = [one[library] for one in rounds if one[library] is not None]
            cells.append(f"{statistics.median(figures):12.1f}" if figures else f"{'-':>12}")
        print(f"{case:32}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
