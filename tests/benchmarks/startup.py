"""What starting costs: ``python tests/benchmarks/startup.py``, the medians of interleaved runs in fresh processes."""

import statistics
import subprocess
import sys
import time

CASES = {
    "python -c pass": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import numpy, funcnet": ["-c", "import numpy, funcnet"],
    "numpy and a network": ["-c", "import numpy, funcnet as fn; fn.serial(fn.Dense(8), fn.Relu()); fn.train_step"],
    "funcnet --help": ["-m", "funcnet", "--help"],
}
times: dict[str, list[float]] = {name: [] for name in CASES}
for _ in range(21):
    for name, arguments in CASES.items():
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times[name].append(time.perf_counter() - began)
for name, seconds in times.items():
    print(f"{name:24} {1000 * statistics.median(seconds):7.1f} ms")
