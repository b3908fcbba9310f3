"""What a page says of the network: its diagram if that is small, and a spec that is cut if it is long."""

import pytest

import funcnet as fn
from funcnet import data, losses, optim
from funcnet.experiments.report import facts
from tests.reports import plain, text_of


def run_of(folder, model, rows=3):
    experiment = fn.Experiment(
        data=data.Arrays(x=[[0.5, i] for i in range(rows)], y=[float(i) for i in range(rows)]),
        model=model,
        loss=losses.MeanSquaredError(),
        optimizer=optim.SGD(0.0),
        training=fn.Training(epochs=1),
    )
    return fn.run(experiment, folder)


@pytest.mark.parametrize(("layers", "drawn"), [(1, "open"), (8, "on demand"), (90, "not"), (40, "on demand")])
def test_a_diagram_is_drawn_if_it_is_small(tmp_path, layers, drawn):
    run_of(tmp_path / "run", fn.serial(*[fn.Dense(2)] * layers, head=fn.Dense(1)))
    page = text_of(tmp_path / "run")
    assert ('class="diagram"' in page) == (drawn != "not")
    assert ("<summary>Show the diagram</summary>" in page) == (drawn == "on demand")
    assert ("head: Dense(units=1)" in plain(page)) == (drawn != "not")


def test_a_diagram_that_is_too_large_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(facts, "WIDEST", 10)
    run_of(tmp_path / "run", fn.Dense(1))
    page = text_of(tmp_path / "run")
    assert "The diagram is too large for a page; funcnet show --diagram draws it." in page
    assert 'class="diagram"' not in page


def test_a_long_spec_is_cut(tmp_path):
    run = run_of(tmp_path / "run", fn.Dense(1), rows=3000)
    page, length = text_of(tmp_path / "run"), len(fn.to_json(run.experiment))
    assert length > facts.LONGEST_SPEC
    assert f"These are the first 20,000 of its {length:,} characters; spec.json has all." in page
    assert len(page.encode()) < 500_000
