"""The examples in the docstrings of the public names that are used most: each runs by itself, in an empty folder."""

import doctest

import numpy as np
import pytest

import funcnet as fn

NAMES = (
    *("Dense", "Relu", "Dropout", "Conv2D", "LSTM", "Residual", "serial", "layer", "Key", "Context"),
    *("fit", "train_step", "train_state", "value_and_grad", "predict", "predict_proba", "cross_validate"),
    *("Experiment", "run", "load_run", "save", "load", "to_json", "from_json", "save_spec", "spec_hash"),
    *("check_layer", "check_gradient", "backprop_trace", "compile", "source", "summary", "diff", "replace"),
    *("optim.Adam", "optim.SGD", "optim.chain", "losses.SoftmaxCrossEntropy", "losses.MeanSquaredError"),
    *("metrics.Accuracy", "tree.flatten", "tree.at"),
)


@pytest.mark.parametrize("name", NAMES)
def test_example(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = fn
    for part in name.split("."):
        found = getattr(found, part)
    test = doctest.DocTestParser().get_doctest(found.__doc__, {"fn": fn, "np": np}, name, None, None)
    assert test.examples
    report = []
    failed = doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed
    assert not failed, "".join(report)
