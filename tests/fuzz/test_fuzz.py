"""The fuzzers, small; each new finding of a large run becomes a case of its own beside them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import funcnet as fn
from funcnet.data.preparation import prepare
from tests.fuzz import data_files, specs


@pytest.mark.parametrize("seed", range(3))
def test_mutated_specs(seed: int) -> None:
    found = specs.fuzz(400, seed, every=40)
    assert found["valid"] > 10
    assert found["refused"] > 200


@pytest.mark.parametrize("tag", data_files.FORMATS)
def test_damaged_data_files(tag: str) -> None:
    if tag == "hdf5":
        pytest.importorskip("h5py", reason="HDF5 files need it")
    found: Counter[str] = data_files.fuzz(150, 0, (tag,))
    assert found[f"{tag} read"] > 3
    assert found[f"{tag} refused"] > 20


# ----- found by large runs --------------------------------------------------------------------------------------------


def test_labels_that_are_no_characters(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((4, 2), np.float32))
    for code in (0x110000, 0xD800):
        np.save(tmp_path / "y.npy", np.array([[97, 98], [97, 99], [97, code], [98, 98]], np.uint32).view("U2")[:, 0])
        with pytest.raises(fn.DataError) as caught:
            prepare(fn.data.Npy("x.npy", "y.npy"), fn.Key(0), tmp_path)
        assert str(caught.value) == (
            f"Npy: expected targets as Unicode text, got the code {code:#x}; write the file again"
        )


def test_a_target_that_is_a_single_infinity(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((4, 2)), y=np.array(np.inf))
    with pytest.raises(fn.DataError) as caught:
        prepare(fn.data.Npz("a.npz"), fn.Key(0), tmp_path)
    assert str(caught.value) == "Npz: expected finite targets, got inf in its only number; remove or fill it"
