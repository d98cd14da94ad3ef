import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from isthmus.contract.picture import decode_picture, encode_picture
from isthmus.errors import ConfigError, IsthmusError, LimitExceeded, MalformedPayload

FORMATS = ["jpeg", "webp", "png"]


def scene(height: int = 24, width: int = 33) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 5, columns * 5, (rows + columns) * 3], axis=2).astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + end


def webp_header(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes.fromhex("011100021101031101")
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0" + frame + b"\xff\xd9"


GIGAPIXEL = {
    "png": png_header(2**31 - 1, 2**31 - 1),
    "webp": webp_header(2**24, 2**24),
    "jpeg": jpeg_header(65_500, 65_500),
    "lossless webp": b"RIFF" + bytes(4) + b"WEBPVP8L" + bytes(4) + b"\x2f" + b"\xff\xff\xff\x0f" + bytes(8),
    "lossy webp": b"RIFF" + bytes(4) + b"WEBPVP8 " + bytes(4) + b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(8),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_comes_back(name: str) -> None:
    picture = scene()
    back = decode_picture(encode_picture(picture, name, 95), name, pixels_max=24 * 33)
    assert (back.shape, back.dtype) == (picture.shape, np.dtype("uint8"))
    assert np.abs(back.astype(int) - picture).mean() < (0.001 if name == "png" else 4)


@pytest.mark.parametrize("name", FORMATS)
def test_one_pixel_more_than_allowed_passes_the_limit(name: str) -> None:
    with pytest.raises(LimitExceeded, match="33x24"):
        decode_picture(encode_picture(scene(), name, 95), name, pixels_max=24 * 33 - 1)


@pytest.mark.parametrize("kind", GIGAPIXEL)
def test_a_declared_size_is_judged_before_anything_is_decoded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    with pytest.raises(LimitExceeded, match="at most 8294400 pixels"):
        decode_picture(GIGAPIXEL[kind], kind.split()[-1], pixels_max=3840 * 2160)


def test_a_jpeg_that_says_it_is_a_small_webp_is_not_decoded_as_a_jpeg() -> None:
    small_canvas = b"VP8X" + bytes(8) + b"\7\0\0\7\0\0"
    segment = b"\xff\xd8\xff\xe0\x00\x28ab" + b"WEBP" + small_canvas + bytes(12)
    disguised = segment + encode_picture(scene(300, 300), "jpeg", 50)[2:]
    decoded = cv2.imdecode(np.frombuffer(disguised, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (300, 300, 3)
    with pytest.raises(MalformedPayload):
        decode_picture(disguised, "webp", pixels_max=100)


@pytest.mark.parametrize("marker", [0x00, 0xD8])
def test_a_jpeg_cannot_hide_its_frame_header_in_what_decoders_skip(marker: int) -> None:
    large, small = encode_picture(scene(300, 300), "jpeg", 50), encode_picture(scene(8, 8), "jpeg", 50)
    hidden = b"\xff\xd8\xff" + bytes([marker]) + len(large).to_bytes(2, "big") + large[2:] + small[2:]
    with pytest.raises(MalformedPayload):
        decode_picture(hidden, "jpeg", pixels_max=100)


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_picture_is_malformed_at_every_length(name: str) -> None:
    data = encode_picture(scene(), name, 60)
    for length in range(len(data)):
        with pytest.raises(MalformedPayload):
            decode_picture(data[:length], name, pixels_max=10_000)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("said", [*FORMATS, "gif", "", "JPEG"])
def test_a_picture_of_another_format_than_said_is_malformed(name: str, said: str) -> None:
    if name != said:
        with pytest.raises(MalformedPayload):
            decode_picture(encode_picture(scene(), name, 60), said, pixels_max=10_000)


def test_an_error_repeats_only_a_little_of_what_the_peer_wrote() -> None:
    with pytest.raises(MalformedPayload) as caught:
        decode_picture(b"", "x\n" * 100_000, pixels_max=1)
    assert len(str(caught.value)) < 200


BEGINNINGS = [
    b"",
    b"\xff\xd8\xff",
    GIGAPIXEL["png"][:16],
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"RIFF\0\0\0\0WEBPVP8L",
]


@given(name=st.sampled_from(FORMATS), start=st.sampled_from(BEGINNINGS), data=st.binary(max_size=200))
@example(name="jpeg", start=b"\xff\xd8\xff", data=b"\xe0\xff\xff")
def test_random_bytes_raise_only_our_errors(name: str, start: bytes, data: bytes) -> None:
    with pytest.raises(IsthmusError):
        decode_picture(start + data, name, pixels_max=1_000_000)


@given(name=st.sampled_from(FORMATS), place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_gives_a_picture_within_the_limit_or_our_error(name: str, place: int, value: int) -> None:
    data = bytearray(encode_picture(scene(), name, 60))
    data[place % len(data)] = value
    try:
        height, width, channels = decode_picture(bytes(data), name, pixels_max=1000).shape
    except IsthmusError:
        return
    assert height * width <= 1000
    assert channels == 3


@pytest.mark.parametrize(
    ("shape", "name"), [((0, 4, 3), "png"), ((4, 4, 2), "jpeg"), ((2, 70_000, 3), "jpeg"), ((2, 17_000, 3), "webp")]
)
def test_what_cannot_be_written_says_so(shape: tuple[int, ...], name: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot be written as {name}"):
        encode_picture(np.zeros(shape, np.uint8), name, 50)


def test_an_unknown_format_is_not_written() -> None:
    with pytest.raises(ConfigError, match="use one of jpeg, webp, png"):
        encode_picture(scene(), "bmp", 50)
