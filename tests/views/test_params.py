"""Params as a table, and specs and summaries in a notebook."""

import numpy as np
import pytest

import funcnet as fn


def test_show():
    values = {
        "layer": {"weight": np.array([[1.0, 2.0], [3.0, np.nan]]), "bias": np.zeros(2, np.float32)},
        "count": np.array(3),
        "none": (np.ones((0, 2)), np.array([np.inf, 1.0])),
    }
    assert str(fn.describe(values)) == (
        "path          shape  dtype    mean  deviation  least  largest  note\n"
        "------------  -----  -------  ----  ---------  -----  -------  -----------\n"
        "layer/weight  2 x 2  float64     2     0.8165      1        3  1 NaN!\n"
        "layer/bias    2      float32     0          0      0        0  all zero\n"
        "count         ()     int64       3          0      3        3\n"
        "none/0        0 x 2  float64                                   empty\n"
        "none/1        2      float64     1          0      1        1  1 infinite!\n"
        "------------  -----  -------  ----  ---------  -----  -------  -----------\n"
        "5 arrays      9      64 B"
    )
    assert "<table" in fn.describe(values)._repr_html_()


def test_show_refuses_what_is_no_array():
    with pytest.raises(fn.PathError) as caught:
        fn.describe({"a": {"b": "text"}})
    assert str(caught.value) == "expected a nest of arrays, got a str at 'a/b'"


def test_a_summary_is_a_table():
    net = fn.serial(stem=fn.Dense(4), act=fn.Relu(), head=fn.Dense(2))
    assert str(fn.summary(net, (3,), 1)) == (
        "input 3, batch of 1, float32\n"
        "layer  type   output  parameters  forward FLOPs  backward FLOPs  activations\n"
        "-----  -----  ------  ----------  -------------  --------------  -----------\n"
        "stem   Dense       4          16             28              28         16 B\n"
        "act    Relu        4           0              4               8         16 B\n"
        "head   Dense       2          10             18              34          8 B\n"
        "-----  -----  ------  ----------  -------------  --------------  -----------\n"
        "total              2          26             50              70         40 B"
    )
    assert fn.summary(net, (3,)) == fn.summary(net, (3,), 32)
    assert "forward FLOPs" not in str(fn.summary(net, (3,), None))
    assert "<td" in fn.summary(net, (3,))._repr_html_()


def test_a_spec_in_a_notebook():
    html = fn.Experiment(
        model=fn.serial(stem=fn.Dense(4), body=fn.Residual(fn.Dense(4), projection=fn.Dense(4))),
        loss=fn.losses.MeanSquaredError(),
        optimizer=fn.optim.SGD(0.1),
        data=fn.data.Iris(),
        training=fn.Training(epochs=1),
    )._repr_html_()
    for text in ("experiment", "stem", "units=4", "projection", "sgd", "learning_rate=0.1"):
        assert text in html
    assert "use_bias" not in html
    assert "&lt;" in fn.data.Npz("<b>")._repr_html_()
