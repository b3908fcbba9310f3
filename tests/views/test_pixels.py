"""Images in a page are PNGs with the right pixels."""

import base64
import re
import struct
import zlib

import numpy as np
import pytest

from funcnet.views.pixels import MOST, image_html, is_image


def decoded(text):
    """The pixels of an image, read as the PNG specification says."""
    content = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', text)[1])
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert struct.unpack(">I", content[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + size
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()  # no filter
    return rows[:, 1:].reshape(height, width, 3 if colour == 2 else 1)


def test_grey_and_colour():
    grey = np.array([[0.0, 0.5], [1.0, 2.0]])
    assert decoded(image_html(grey, 0.0, 1.0, "x"))[..., 0].tolist() == [[0, 127], [255, 255]]
    colour = np.arange(24.0).reshape(2, 4, 3)
    assert np.array_equal(decoded(image_html(colour, 0.0, 255.0, "x")), colour.astype(np.uint8))


def test_large_images_are_thinned_out_and_constant_ones_are_drawn():
    assert max(decoded(image_html(np.zeros((500, 300)), 0.0, 0.0, "x")).shape) <= MOST
    assert decoded(image_html(np.full((4, 4), np.nan), 0.0, 1.0, "x")).max() == 0


@pytest.mark.parametrize(
    ("shape", "answer"),
    [((8, 8), True), ((8, 8, 1), True), ((8, 8, 3), True), ((8, 8, 2), False), ((64,), False), ((64, 3), False)],
)
def test_what_is_an_image(shape, answer):
    assert is_image(shape) is answer
