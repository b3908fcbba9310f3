"""What a script that records values writes when it runs again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.archive import save

FIRST = {
    "a": np.array([1.0, 2.0, 1e-9]),
    "labels": np.array([0, 1]),
    "none": np.array("none"),
    "cancels": np.array([1e-17]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / "rules.npz", FIRST, "torch 2")
    return tmp_path / "rules.npz"


def members(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name].tolist() for name in archive.files}


def test_values_that_agree_leave_the_file_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = path.read_bytes()
    capsys.readouterr()
    save(path, FIRST | {"a": FIRST["a"] * (1.0 + 1e-13) + 1e-13, "cancels": np.array([-2e-17])}, "torch 3")
    assert path.read_bytes() == before
    assert capsys.readouterr().out == "rules.npz: 4 arrays, all as recorded\n"


def test_new_and_changed_values_are_written_and_the_others_kept(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    made = {"a": FIRST["a"] * (1.0 + 1e-13), "labels": np.array([0, 2]), "b": np.array([np.nan])}
    save(path, made, "torch 3")
    found = members(path)
    assert np.isnan(found.pop("b")).all()
    assert found == {"versions": "torch 3", "a": [1.0, 2.0, 1e-9], "labels": [0, 2]}
    assert capsys.readouterr().out == "rules.npz: 3 arrays, new: b; changed: labels; gone: cancels, none\n"


@pytest.mark.parametrize(
    "other",
    [
        FIRST["a"] * (1.0 + 1e-11),
        FIRST["a"].astype(np.float32),
        FIRST["a"][:, None],
        np.array([1.0, 2.0, np.nan]),
        np.array([1.0, np.inf, 1e-9]),
    ],
    ids=["value", "dtype", "shape", "nan", "infinite"],
)
def test_what_differs_is_a_change(path: Path, capsys: pytest.CaptureFixture[str], other: Any) -> None:
    save(path, FIRST | {"a": other}, "torch 2")
    assert capsys.readouterr().out.splitlines()[-1] == "rules.npz: 4 arrays, changed: a"
    with np.load(path) as archive:
        np.testing.assert_array_equal(archive["a"], other)
