"""What leaves the library as the state of a moment cannot be changed, by whom it reaches."""

import copy
import json
import pickle

import numpy as np
import pytest

import funcnet as fn
from funcnet import losses, optim
from funcnet.read_only import read_only
from funcnet.spec.fields import FrozenDict

X, Y = fn.Key(0).normal((40, 3), np.float32), fn.Key(1).normal((40, 1), np.float32)
NET = fn.serial(fn.Dense(8), fn.Tanh(), fn.Dense(1))
OPTIONS = {"loss": losses.MeanSquaredError(), "optimizer": optim.Adam(0.05), "epochs": 12, "key": fn.Key(2)}

REFUSED = "a record of a run cannot be changed; change a copy, "
CHANGES = [
    lambda d: d.__setitem__("a", 1),
    lambda d: d.__delitem__("a"),
    lambda d: d.update(a=2),
    lambda d: d.pop("a"),
    lambda d: d.popitem(),
    lambda d: d.clear(),
    lambda d: d.setdefault("b", 1),
    lambda d: d["rows"].append(1),
    lambda d: d["rows"].__setitem__(0, 1),
    lambda d: d["rows"].sort(),
    lambda d: d["rows"].pop(),
    lambda d: d["inner"].__setitem__("b", 1),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_record_refuses_changes(change):
    record = read_only({"a": 1, "rows": [1, 2], "inner": {"b": 2}})
    with pytest.raises(TypeError, match=REFUSED):
        change(record)
    with pytest.raises(TypeError, match=REFUSED):
        record |= {"c": 1}
    assert record == {"a": 1, "rows": [1, 2], "inner": {"b": 2}}


def test_a_record_is_copied_written_and_compared_like_its_kind():
    record = read_only({"a": [1, {"b": 2.5}]})
    assert json.dumps(record) == '{"a": [1, {"b": 2.5}]}'
    assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record == {"a": [1, {"b": 2.5}]}
    changed = dict(record)
    changed["a"] = 3
    assert record["a"] == [1, {"b": 2.5}]


def test_the_history_and_the_scores_of_a_run():
    fit = fn.fit(NET, (X, Y), **OPTIONS)
    with pytest.raises(TypeError, match=REFUSED):
        fit.history[0]["loss"] = 0.0
    with pytest.raises(TypeError, match=REFUSED):
        fit.history.append({})
    run = fn.run(
        fn.Experiment(
            data=fn.data.Iris(split=fn.data.Split(test=0.2), scale="standard"),
            model=fn.Dense(3),
            loss=losses.SoftmaxCrossEntropy(),
            metrics=(fn.metrics.Accuracy(),),
            optimizer=optim.Adam(0.1),
            training=fn.Training(epochs=2),
        )
    )
    for value in (run.metrics["test"], run.preprocess, run.history[0]):
        with pytest.raises(TypeError, match=REFUSED):
            value["accuracy"] = 1.0


class Writes:
    """A callback that would change the params in place."""

    def __init__(self):
        self.tried = 0

    def init(self):
        return None

    def update(self, state, event):
        for leaf in fn.tree.leaves(event.train_state):
            with pytest.raises(ValueError, match="read-only"):
                leaf += 1
        with pytest.raises(TypeError, match=REFUSED):
            (event.row or read_only({}))["loss"] = 0.0
        self.tried += 1
        return None, False


def test_a_callback_cannot_change_what_another_keeps():
    stopping = fn.EarlyStopping("loss", patience=3)
    alone = fn.fit(NET, (X, Y), callbacks=[stopping], **OPTIONS)
    writes = Writes()
    beside = fn.fit(NET, (X, Y), callbacks=[stopping, writes], **OPTIONS)
    assert writes.tried > 5
    assert alone.train_state == beside.train_state
    for leaf in fn.tree.leaves(beside.train_state):
        assert leaf.flags.writeable


def test_a_frozen_dict_has_no_door():
    value = FrozenDict({"a": 1})
    with pytest.raises(AttributeError, match="a FrozenDict cannot be changed"):
        value.a = 2
    with pytest.raises(TypeError):
        value._items["a"] = 2
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
    assert repr(value) == "{'a': 1}"
