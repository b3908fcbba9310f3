"""What a type checker knows of the public functions: a small program is checked, and mistakes in it are found."""

import subprocess
import sys

import pytest

import funcnet as fn
from tests.cli import ROOT

RIGHT = """
import numpy as np
import numpy.typing as npt
import funcnet as fn

Array = npt.NDArray[np.float32]
x: Array = np.zeros((5, 4), np.float32)
experiment = fn.load_spec("specs/iris_csv.json", fn.Experiment)
units: int = experiment.training.epochs or 1
net: fn.Layer = fn.from_json('{"model": "relu"}', fn.Layer)
spec = fn.from_json('{"model": "relu"}')
if isinstance(spec, fn.Dense):
    units = spec.units
params, state = net.init(fn.Key(0), (4,))
y = fn.predict(net, params, state, x)
if isinstance(y, dict):
    y = y["head"]
if isinstance(y, np.ndarray):
    labels = y.argmax(axis=1)
run = fn.run(experiment)
answer = run.predict(x)
assert not isinstance(answer, tuple | dict)
print(answer.shape, run.predict_label(x).tolist())
"""
WRONG = """
import funcnet as fn

spec = fn.load_spec("specs/iris_csv.json")
spec.model
fn.load_spec("specs/iris_csv.json", fn.Experiment).modle
fn.load_spec("specs/iris_csv.json", 3)
net = fn.from_json("{}", fn.Layer)
fn.predict(net, {}, {}, 0).argmx()
"""


def test_a_checker_knows_what_functions_return(tmp_path):
    pytest.importorskip("mypy")
    for name, program in (("right", RIGHT), ("wrong", WRONG)):
        (tmp_path / f"{name}.py").write_text(program, encoding="utf-8")
    files = [str(tmp_path / f"{name}.py") for name in ("right", "wrong")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line.partition("wrong.py:")[2] for line in done.stdout.splitlines()]
    assert all(lines), done.stdout  # there is nothing to say of right.py, nor of the library
    assert [line.partition(":")[0] for line in lines if "error" in line] == ["5", "6", "7", "9", "9", "9"]
    assert '"Spec" has no attribute "model"' in lines[0]
    assert '"Experiment" has no attribute "modle"' in lines[1]


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (fn.Experiment, "$: expected Experiment, got Dense, a spec of the kind layer"),
        (fn.Relu, "$: expected Relu, got Dense, a spec of the kind layer"),
    ],
)
def test_another_spec_than_expected(tmp_path, expected, message):
    text = '{"model": {"type": "dense", "units": 3}}'
    assert fn.from_json(text, fn.Layer) == fn.from_json(text, fn.Dense) == fn.from_json(text) == fn.Dense(3)
    with pytest.raises(fn.SpecError) as caught:
        fn.from_json(text, expected)
    assert str(caught.value) == message
    path = tmp_path / "spec.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(fn.SpecError) as caught:
        fn.load_spec(path, expected)
    assert str(caught.value) == f"{path}: {message}"
