import struct
import zlib

import cv2
import numpy as np
import pytest

from isthmus.errors import SourceError
from isthmus.head.picture import read_picture

SUFFIXES = [".jpg", ".png", ".webp", ".bmp"]


def _encode(suffix, parameters=()):
    random = np.random.default_rng(0)
    image = cv2.resize(random.integers(0, 255, (4, 5, 3), dtype=np.uint8), (37, 21))
    return image, cv2.imencode(suffix, image, list(parameters))[1].tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_comes_back_as_it_was_written(tmp_path, suffix):
    image, data = _encode(suffix)
    (tmp_path / "picture").write_bytes(data)
    difference = np.abs(read_picture(tmp_path / "picture").astype(int) - image)
    assert difference.mean() < (4 if suffix in {".jpg", ".webp"} else 1e-9)


@pytest.mark.parametrize(
    ("suffix", "option", "value"),
    [
        (".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
        (".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    ],
)
def test_variants_of_a_format_are_read(tmp_path, suffix, option, value):
    (tmp_path / "picture").write_bytes(_encode(suffix, (option, value))[1])
    assert read_picture(tmp_path / "picture").shape == (21, 37, 3)


def test_a_greyscale_picture_comes_back_with_three_channels(tmp_path):
    (tmp_path / "grey.png").write_bytes(cv2.imencode(".png", np.full((6, 5), 90, np.uint8))[1].tobytes())
    assert np.array_equal(read_picture(tmp_path / "grey.png"), np.full((6, 5, 3), 90))


def test_a_bmp_whose_rows_go_from_top_to_bottom_is_read(tmp_path):
    pixels = bytes([1, 2, 3, 0]) + bytes([4, 5, 6, 0])
    header = b"BM" + struct.pack("<IHHI", 62, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 1, -2, 1, 24, 0, 8, 0, 0, 0, 0)
    (tmp_path / "down.bmp").write_bytes(header + pixels)
    assert read_picture(tmp_path / "down.bmp").tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_cut_anywhere_is_a_source_error(tmp_path, suffix):
    data = _encode(suffix)[1]
    path = tmp_path / "cut"
    for end in range(0, len(data) - 16, max(1, len(data) // 40)):
        path.write_bytes(data[:end])
        with pytest.raises(SourceError):
            read_picture(path)


def _huge_png():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xae\x42\x60\x82"


def _huge_bmp():
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -60_000) + bytes(200)


@pytest.mark.parametrize("data", [_huge_png(), _huge_bmp()], ids=["png", "bmp"])
def test_a_small_file_that_declares_a_huge_picture_is_refused_unread(tmp_path, data):
    (tmp_path / "bomb").write_bytes(data)
    with pytest.raises(SourceError, match="bomb cannot be used: picture of 60000x60000 pixels, at most 64000000"):
        read_picture(tmp_path / "bomb")


def test_what_is_no_picture_says_so(tmp_path):
    (tmp_path / "note.jpg").write_text("not a picture")
    with pytest.raises(SourceError, match=r"note\.jpg cannot be used: it is no JPEG, PNG, WebP or BMP"):
        read_picture(tmp_path / "note.jpg")
    with pytest.raises(SourceError, match="cannot be read"):
        read_picture(tmp_path / "missing.jpg")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_changed_bytes_give_a_picture_or_a_source_error(tmp_path, suffix):
    data = _encode(suffix)[1]
    random = np.random.default_rng(1)
    for _ in range(40):
        spoiled = bytearray(data)
        spoiled[random.integers(min(len(data), 64))] = random.integers(256)
        (tmp_path / "spoiled").write_bytes(spoiled)
        try:
            assert read_picture(tmp_path / "spoiled").shape[2] == 3
        except SourceError:
            continue
