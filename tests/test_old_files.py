"""Files of every earlier version are read, and give the answers that they gave then; names that changed are found."""

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

import funcnet as fn
from funcnet.spec import codec
from tests.golden.make_files import NETS, ROWS, batch, experiment

VERSIONS = sorted((Path(__file__).parent / "golden" / "files").iterdir())
SHIPPED = Path(__file__).parents[1] / "specs"


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)  # other machines sum in another order


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("name", NETS)
def test_a_saved_network_gives_the_same_answers(folder, name):
    net, params, state = fn.load(folder / f"{name}.npz")
    assert net == NETS[name][0]
    with np.load(folder / "answers.npz") as answers:
        close(fn.predict(net, params, state, batch(name)), answers[name])


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)
def test_a_run_gives_the_same_answers(folder, tmp_path):
    run = fn.load_run(folder / "run")
    assert run.experiment == experiment()
    shutil.copytree(folder / "unfinished", tmp_path / "run")
    continued = fn.run(run.experiment, tmp_path / "run", resume=True)
    assert continued.train_state.step == run.train_state.step == 12
    with np.load(folder / "answers.npz") as answers:
        for one in (run, continued):
            close(one.predict_proba(ROWS), answers["run"])


SPECS = [path for folder in VERSIONS for path in sorted((folder / "specs").iterdir())]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_means_the_same(path):
    spec = fn.load_spec(path)
    assert isinstance(spec, fn.Experiment)
    if path.parents[1].name == fn.__version__:
        assert spec == fn.load_spec(SHIPPED / path.name)
        assert within(json.loads(path.read_text(encoding="utf-8")), json.loads(codec.filed(spec)))


def within(old, new):
    """Whether a document holds all of an older one; it may have further fields."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(name in new and within(value, new[name]) for name, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(within, old, new))
    return type(old) is type(new) and old == new


# ----- defaults and names that change ------------------------------------------------------------------------------


def layer(tag, default, name="factor", **options):
    """A version of a user's layer that multiplies by a number."""

    def apply(self, params, state, x, ctx):
        return x * getattr(self, name), state, None

    namespace = {
        "__annotations__": {name: float},
        name: default,
        "__module__": __name__,
        "__qualname__": "Times",
        "out_shape": lambda self, in_shape: in_shape,
        "apply": apply,
        "vjp": lambda self, params, residuals, dy: ({}, getattr(self, name) * dy),
    }
    return fn.register(tag, **options)(attrs.frozen(type("Times", (fn.Layer,), namespace)))


@pytest.mark.parametrize("how", ["save", "save_spec"])
def test_a_default_that_changes_leaves_old_files_alone(tmp_path, how):
    first = layer("old_files.times", 2.0)
    if how == "save":
        fn.save(tmp_path / "net.npz", fn.serial(first()), {}, {})
    else:
        fn.save_spec(tmp_path / "net.json", fn.serial(first()))
    layer("old_files.times", 5.0)
    net = fn.load(tmp_path / "net.npz")[0] if how == "save" else fn.load_spec(tmp_path / "net.json")
    assert fn.predict(net, {}, {}, np.ones((1, 1))) == 2.0


def test_a_field_and_a_tag_with_new_names(tmp_path):
    first = layer("old_files.scaled", 2.0)
    net = fn.serial(first(3.0), fn.Dense(2))
    params, state = net.init(fn.Key(0), (2,))
    fn.save(tmp_path / "net.npz", net, params, state)
    before = fn.predict(net, params, state, np.ones((1, 2), np.float32))
    second = layer("old_files.gain", 1.0, "gain", was="old_files.scaled", renamed={"factor": "gain"})
    net, params, state = fn.load(tmp_path / "net.npz")
    assert net.layers[0] == ("scaled_0", second(3.0))
    np.testing.assert_array_equal(fn.predict(net, params, state, np.ones((1, 2), np.float32)), before)
    assert json.loads(fn.to_json(second(3.0)))["model"] == {"type": "old_files.gain", "gain": 3.0}
    with pytest.raises(fn.SpecError) as error:
        fn.from_json({"model": {"type": "old_files.gain", "gain": 1.0, "factor": 2.0}})
    assert str(error.value) == "$.model.factor: is the earlier name of 'gain', which is given too"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"was": ("dense",)}, "the layer tag 'dense' is taken by funcnet.layers.dense.Dense"),
        ({"renamed": {"old": "fctor"}}, "renamed maps earlier names to the fields factor, got 'old': 'fctor'"),
        ({"renamed": {"factor": "factor"}}, "renamed maps earlier names to the fields factor, got 'factor': 'factor'"),
    ],
)
def test_names_that_cannot_be_earlier_ones(options, message):
    fn.from_json({"model": "dense"} | {"model": {"type": "dense", "units": 1}})
    with pytest.raises(fn.SpecError) as error:
        layer("old_files.other", 1.0, **options)
    assert str(error.value) == f"register('old_files.other'): {message}"


def test_a_step_of_the_format(monkeypatch):
    """Version 2 would call a network ``net``; documents of version 1 are read through the step."""

    def renamed(document):
        return {"model" if key == "net" else key: value for key, value in document.items()}

    monkeypatch.setattr(codec, "STEPS", (renamed,))
    monkeypatch.setattr(codec, "VERSION", 2)
    assert fn.from_json({"version": 1, "net": "relu"}) == fn.Relu()
    assert fn.from_json({"version": 2, "model": "relu"}) == fn.Relu()
    with pytest.raises(fn.SpecError):
        fn.from_json({"version": 2, "net": "relu"})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {"funcnet": "0.9.2", "model": {"type": "relu", "leak": 0.1}},
            "$.model.leak: unknown field of 'relu'; it has no fields; written by a newer funcnet (0.9.2), while this "
            "is 0.1.0; upgrade funcnet",
        ),
        ({"funcnet": "0.1.0", "model": {"type": "relu", "leak": 0.1}}, None),
        ({"funcnet": "0.0.9", "model": {"type": "relu", "leak": 0.1}}, None),
        ({"funcnet": 3, "model": "relu"}, "$.funcnet: expected a string, got 3"),
    ],
)
def test_a_file_of_a_newer_funcnet(document, message):
    with pytest.raises(fn.SpecError) as error:
        fn.from_json(document)
    assert str(error.value) == (message or "$.model.leak: unknown field of 'relu'; it has no fields")
