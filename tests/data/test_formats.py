"""What holds for every source that reads files: its paths stay in the folder, and no bytes break it."""

import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import funcnet as fn
from funcnet import data
from funcnet.data import prepare
from funcnet.spec.base import fields, tags
from tests.data.formats import FORMATS, OUTSIDE, allocated, folder_of, npy

KEY = fn.Key(3)


def message(call):
    with pytest.raises(fn.DataError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("tag", FORMATS)
def test_every_path_is_tried_outside_the_folder(tag):
    """Each field of text is a path of some source in ``outside``, or named in ``texts``."""
    cls, common = tags("data")[tag], {field.name for field in fields(data.Source)}
    texts = {field.name for field in fields(cls) if "str" in str(field.hint)} - common
    paths = {field for field in texts if any(getattr(source, field) == OUTSIDE for source in FORMATS[tag].outside)}
    untried = texts - paths - set(FORMATS[tag].texts)
    assert not untried, f"FORMATS in tests/data/formats.py: {tag}: outside has no path in {', '.join(sorted(untried))}"
    assert paths.isdisjoint(FORMATS[tag].texts)
    assert all(type(source) is cls for source in FORMATS[tag].outside + FORMATS[tag].reads)


@pytest.mark.parametrize(("tag", "i"), [(tag, i) for tag, one in FORMATS.items() for i in range(len(one.outside))])
def test_every_path_of_every_source_is_held_to_its_folder(tmp_path, tag, i):
    source = FORMATS[tag].outside[i]
    said = message(lambda: prepare(source, KEY, folder_of(tmp_path)))
    assert re.match(re.escape(OUTSIDE) + r"(/\w+\.h5)?: lies outside the spec's folder ", said), said


def attack(folder, tag, content):
    (folder / "y").write_bytes(npy(np.array([0, 1, 1, 0])))
    for name in FORMATS[tag].names:
        (folder / name).write_bytes(content)
    given = []

    def read():
        for source in FORMATS[tag].reads:
            try:
                found = prepare(source, KEY, folder)
                shape = source.in_shape(folder)
            except fn.DataError as error:
                assert "\n" not in str(error)  # noqa: PT017
                continue
            given.append(found)
            assert shape is None or found.train.x.shape[1:] == shape
            for part in filter(None, (found.train, found.test)):
                assert len(part.x) == len(part.y)
                for begin in range(0, len(part.x), 3):
                    assert np.isfinite(part.x[begin : begin + 3]).all()

    assert allocated(read) < 2**24
    return given


@pytest.mark.parametrize(("tag", "form"), [(tag, i) for tag, one in FORMATS.items() for i in range(len(one.whole))])
def test_a_whole_file_is_read(tmp_path, tag, form):
    """Otherwise the changed ones below would be errors for another reason."""
    found = attack(tmp_path, tag, FORMATS[tag].whole[form])[0]
    parts = [found.train.y] if found.test is None else [found.train.y, found.test.y]
    assert np.concatenate(parts).reshape(-1).tolist() == list(FORMATS[tag].targets)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(list(FORMATS)), st.binary(max_size=60), st.integers(0, 9))
def test_any_bytes_are_an_error_of_the_data(tmp_path_factory, tag, content, magic):
    attack(tmp_path_factory.getbasetemp(), tag, (FORMATS[tag].begins if magic else b"") + content)


@pytest.mark.parametrize("tag", [tag for tag, one in FORMATS.items() if one.whole])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_change_of_a_file_is_data_or_an_error_of_the_data(tmp_path_factory, tag, draw):
    content = bytearray(draw.draw(st.sampled_from(FORMATS[tag].whole)))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(content)))
        content[at : at + draw.draw(st.integers(0, 4))] = draw.draw(st.binary(max_size=4))
    attack(tmp_path_factory.getbasetemp(), tag, bytes(content[: draw.draw(st.sampled_from([None, len(content) // 2]))]))
