"""The whole digits process beside scikit-learn's: ``python tests/benchmarks/digits.py`` (extra ``bench``).

Both read the same file, standardise, and train 64-64-64-10 with Adam for 40 epochs of batch 32, each in a
process of its own, one BLAS thread, pinned to one core, interleaved. The command is timed as well.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = f"""
import numpy as np
data = np.load({str(ROOT / "funcnet" / "data" / "digits.npz")!r})
order = np.random.RandomState(0).permutation(1797)
x, y = data["x"].astype(np.float32)[order], data["y"].astype(np.int64)[order]
deviation = x[360:].std(axis=0)
x = (x - x[360:].mean(axis=0)) / np.where(deviation > 0, deviation, 1)
"""
FUNCNET = """
import funcnet as fn
net = fn.serial(fn.Dense(64), fn.Relu(), fn.Dense(64), fn.Relu(), fn.Dense(10))
ts = fn.fit(net, (x[360:], y[360:]), loss=fn.losses.SoftmaxCrossEntropy(), optimizer=fn.optim.Adam(1e-3), epochs=40,
            key=fn.Key(0)).train_state
print((fn.predict(net, ts.params, ts.state, x[:360]).argmax(1) == y[:360]).mean())
"""
SKLEARN = """
import warnings
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
mlp = MLPClassifier((64, 64), alpha=0.0, batch_size=32, max_iter=40, n_iter_no_change=1000, random_state=0)
mlp.fit(x[360:], y[360:])
print(mlp.score(x[:360], y[:360]))
"""
with tempfile.TemporaryDirectory() as folder:
    spec = ROOT / "specs" / "digits_mlp.json"
    cases = {
        "funcnet, fit": ["-c", READ + FUNCNET],
        "scikit-learn, MLPClassifier": ["-c", READ + SKLEARN],
        "funcnet train digits_mlp.json": ["-m", "funcnet", "train", str(spec), "--progress", "none"],
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    says = {}
    pin = ["taskset", "-c", "0"] if Path("/usr/bin/taskset").exists() else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for _ in range(7):
        for name, arguments in cases.items():
            began = time.perf_counter()
            command = [*pin, sys.executable, *arguments]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=folder)
            times[name].append(time.perf_counter() - began)
            says[name] = done.stdout.strip().splitlines()[-1 if "fit" in name or "scikit" in name else -4]
whole = statistics.median(times["funcnet, fit"])
for name, seconds in times.items():
    middle = statistics.median(seconds)
    print(f"{name:32} {middle:6.2f} s   {middle / whole:5.2f} times funcnet's   {says[name]}")
