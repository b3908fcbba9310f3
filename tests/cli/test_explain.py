"""``funcnet explain``: the importance of each input of a run, as a table, as JSON and as a picture."""

import json

import pytest

import funcnet as fn
from tests.cli import SMALL, called


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("explain")
    (place / "small.json").write_text(SMALL, encoding="utf-8")
    assert called(place, "train", "small.json", "--out", "run", "--progress", "none").status == 0
    rows = ["sepal_length,sepal_width,petal_length,petal_width", "5.1,3.5,1.4,0.2"]
    (place / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    return place


def test_the_inputs_of_a_run(folder):
    result = called(folder, "explain", "run", "--out", "importance.svg")
    found = fn.importance(fn.load_run(folder / "run"))
    assert (result.status, result.out, result.err) == (0, f"{found}\n", "")
    assert (folder / "importance.svg").read_text(encoding="utf-8") == found.svg("run: importance on test")
    chosen = ("--metric", "loss", "--repeats", "2", "--seed", "9", "--part", "train", "--json")
    facts = json.loads(called(folder, "explain", "run", *chosen).out)
    found = fn.importance(fn.load_run(folder / "run"), metric="loss", repeats=2, key=9, part="train")
    assert (facts["part"], facts["rows"], facts["metric"], facts["score"]) == ("train", 90, "loss", found.score)
    assert list(facts["inputs"]) == found.order
    petal = facts["inputs"]["petal_length"]
    assert petal["drops"] == found.drops["petal_length"].tolist()
    assert (petal["mean"], petal["deviation"]) == (found.mean["petal_length"], found.deviation["petal_length"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--repeats", "0"], "--repeats: expected a whole number of 1 or more, got '0'"),
        (["--metric", "acuracy"], "metric: unknown metric 'acuracy', did you mean 'accuracy'?"),
        (["--data", "rows.csv", "--part", "test"],
         "--part is of the run's own data; leave it out with --data"),
        (["--data", "rows.csv"],
         "rows.csv: expected an .npz archive with the members x and y for a run on iris"),
        (["--out", "nowhere/a.svg"], "nowhere/a.svg: cannot be written (No such file or directory); "
         "choose a writable folder, or free some space"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(folder, given, said):
    result = called(folder, "explain", "run", *given)
    assert (result.status, result.out, result.err) == (1, "", f"funcnet: {said}\n")
