"""Each control of the page, and the values that it refuses."""

import re
from pathlib import Path

import pytest

import funcnet as fn
from funcnet.play import settings
from funcnet.play.settings import CHANGES, changed, choices, first, of_file
from funcnet.play.study import study

HERE = Path()


def test_what_the_page_opens_with():
    assert settings.settings(first()) == {
        "data": "moons",
        "rows": 300,
        "noise": 0.12,
        "layers": [6, 4],
        "activation": "tanh",
        "loss": "softmax_cross_entropy",
        "optimizer": "adam",
        "rate": 0.02,
        "batch": 16,
        "seed": 0,
    }
    assert fn.from_json(fn.to_json(first())) == first()


def values(name):
    """Values for a control: all its choices, or examples."""
    examples = {"rows": [20, 2000], "noise": [0, 0.3], "layers": [[], [1], [16] * 6], "seed": [0, 2**32 - 1]}
    return examples.get(name) or choices(first(), HERE)[name]


@pytest.mark.parametrize("name", CHANGES)
def test_every_choice_of_every_control_trains(name):
    for value in values(name):
        spec = changed(first(), name, value, HERE)
        shown = study(spec, HERE)
        assert shown.after(shown.start)[1] > 0.0
        found = settings.settings(spec)[name]
        assert found == value or name == "noise"
        assert changed(spec, name, found, HERE) == spec


def test_the_head_and_the_loss_suit_the_data():
    sine = changed(first(), "data", "sine", HERE)
    assert (sine.loss, sine.metrics) == (fn.losses.MeanSquaredError(), ())
    assert sine.model.children["head"].units == 1
    huber = changed(changed(sine, "loss", "huber", HERE), "activation", "relu", HERE)
    back = changed(huber, "data", "spirals", HERE)
    assert (back.loss.tag, back.model.children["head"].units) == ("softmax_cross_entropy", 2)
    assert settings.settings(back)["activation"] == "relu"
    one = changed(first(), "loss", "mean_squared_error", HERE)
    assert list(one.model.children)[-2:] == ["head", "sigmoid_0"]
    wider = changed(one, "layers", [5], HERE)
    assert list(wider.model.children) == ["dense_0", "tanh_0", "head", "sigmoid_0"]


def test_losses_of_two_classes_are_not_offered_for_three():
    spec = fn.load_spec(Path(__file__).parents[2] / "specs" / "spirals.json")
    assert choices(spec, HERE)["loss"] == ["softmax_cross_entropy", "categorical_hinge"]
    assert settings.settings(spec)["rate"] is None  # a schedule


WRONG = [
    ("nothing", 1, f"set: expected one of {', '.join(CHANGES)}, got 'nothing'"),
    ("data", "iris", "data: expected one of moons, spirals, circles, half_plane_grid, sine, got 'iris'"),
    ("data", ["moons"], "got ['moons']"),
    ("rows", 19, "rows: expected a whole number from 20 to 2000, got 19"),
    ("rows", True, "got True"),
    ("noise", float("nan"), "noise: expected a number from 0 to 1, got nan"),
    ("layers", [1] * 7, "layers: expected a list of up to 6 numbers of units, got [1, 1, 1, 1, 1, 1, 1]"),
    ("layers", [17], "layers: expected a whole number from 1 to 16, got 17"),
    ("activation", "dense", "activation: expected one of tanh, relu"),
    ("loss", "huber", "loss: expected one of softmax_cross_entropy"),
    ("optimizer", "Adam", "optimizer: expected one of sgd, sgd with momentum"),
    ("rate", "fast", "rate: expected a number from 0 to 100, got 'fast'"),
    ("batch", 0, "batch: expected a whole number from 1 to 512, got 0"),
    ("seed", -1, "seed: expected a whole number from 0 to 4294967295, got -1"),
    ("seed", 10**400, "seed: expected a whole number"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_other_values_are_refused(name, value, message):
    with pytest.raises(fn.FuncnetError, match=re.escape(message)) as caught:
        changed(first(), name, value, HERE)
    assert len(str(caught.value)) < 300


def test_data_without_noise_has_none_to_change():
    grid = changed(first(), "data", "half_plane_grid", HERE)
    with pytest.raises(fn.FuncnetError, match="noise: the data half_plane_grid has none"):
        changed(grid, "noise", 0.1, HERE)


def written(tmp_path, lines):
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_table_of_two_columns_and_labels(tmp_path):
    rows = [f"{i / 7:.3f},{(i * 5) % 11},{'yes' if i % 3 else 'no'}" for i in range(60)]
    spec = of_file(written(tmp_path, ["<b>a</b>,b,answer", *rows]))
    shown = study(spec, tmp_path)
    assert shown.about()["inputs"] == ["<b>a</b>", "b"]
    assert shown.about()["classes"] == ["no", "yes"]
    assert [stage.units for stage in shown.stages] == [2, 6, 4, 2]


def test_a_table_of_one_column_and_values(tmp_path):
    spec = of_file(written(tmp_path, ["t,y", *(f"{i / 9:.4f},{(i / 9) ** 2:.6f}" for i in range(80))]))
    shown = study(spec, tmp_path)
    assert shown.frame(shown.start)["picture"]["kind"] == "curves"
    assert [stage.units for stage in shown.stages] == [1, 6, 4, 1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [
                ",".join(f"c{k}" for k in range(18)),
                *(",".join(f"{v:.3f}" for v in fn.Key(i).normal((18,))) for i in range(60)),
            ],
            "expected 1 to 16 columns of numbers and then the target, got 17 columns before it: 'c0'",
        ),
        (
            ["a,y", *(f"{i},name {i % 70}" for i in range(280))],
            "has 70 classes, and play draws a unit for each, at most 64",
        ),
        (["a,y", *(f"{'pq'[i % 2]},{i % 3}" for i in range(40))], r"got 1 columns before it: 'a' \(category\)"),
        (["a"], "mine.csv"),
    ],
)
def test_other_tables_are_refused(tmp_path, lines, message):
    with pytest.raises(fn.DataError, match=message):
        of_file(written(tmp_path, lines))


def test_a_table_whose_last_column_is_constant_is_told_in_words_of_the_page(tmp_path):
    with pytest.raises(fn.DataError) as caught:
        of_file(written(tmp_path, ["a,b", *(f"{i},2" for i in range(30))]))
    assert str(caught.value).endswith(
        "the last column 'b' is always '2', which leaves nothing to predict; put another column last"
    )


def test_a_table_of_several_columns(tmp_path):
    spec = of_file(written(tmp_path, ["a,b,c,y", *(f"{i / 8},{i * i % 7},{i % 5},{'pq'[i % 2]}" for i in range(40))]))
    about = study(spec, tmp_path).about()
    assert about["inputs"] == ["a", "b", "c"]
    assert [stage["units"] for stage in about["stages"]] == [3, 6, 4, 2]
