"""How many starts of ``specs/half_plane.json`` learn: ``python tests/benchmarks/half_plane_starts.py``."""

from pathlib import Path

import funcnet as fn
from funcnet.spec.base import evolve

SPEC = fn.load_spec(Path(__file__).parents[2] / "specs" / "half_plane.json")

scores = []
for seed in range(60):
    scores.append(fn.run(evolve(SPEC, seed=seed)).metrics["test"]["accuracy"])
    print(f"seed {seed:2}  accuracy {scores[-1]:.4f}", flush=True)
for limit in (0.99, 0.92):
    print(f"{sum(score < limit for score in scores)} of {len(scores)} below {limit}")
