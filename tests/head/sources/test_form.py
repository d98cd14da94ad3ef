import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigError
from isthmus.head.sources.form import PIXEL_FORMATS, Form, parse_size

RAW = [name for name in PIXEL_FORMATS if name != "mjpeg"]


def pack(picture, pixels):
    """Rows of BGR pixels in another format, by OpenCV's way there."""
    if pixels in ("bgr24", "rgb24", "gray"):
        codes = {"bgr24": None, "rgb24": cv2.COLOR_BGR2RGB, "gray": cv2.COLOR_BGR2GRAY}
        return picture if codes[pixels] is None else cv2.cvtColor(picture, codes[pixels])
    if pixels == "yuyv422":
        return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_YUYV)
    planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    if pixels == "yuv420":
        return planes
    height, width = picture.shape[:2]
    blue, red = planes[height:].reshape(2, -1)
    return np.concatenate([planes[:height].reshape(-1), np.stack([blue, red], axis=-1).reshape(-1)]).reshape(-1, width)


@pytest.mark.parametrize("pixels", RAW)
def test_a_picture_of_two_colours_comes_back(pixels):
    picture = np.full((12, 16, 3), (40, 90, 200), np.uint8)
    picture[:, 8:] = 120
    form = Form(pixels=pixels, size=(16, 12))
    raw = np.ascontiguousarray(pack(picture, pixels)).reshape(-1)
    assert raw.size == form.frame_bytes
    expected = picture if pixels != "gray" else cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert np.abs(form.decode(raw).astype(int) - expected).max() <= 4


@pytest.mark.parametrize(
    ("pixels", "size", "message"),
    [
        ("h264", None, "'h264' is unknown; use one of mjpeg, bgr24"),
        ("gray", (0, 4), "0x4"),
        ("gray", (90000, 90000), "at most"),
        ("yuv420", (5, 4), "even sides"),
        ("nv12", (4, 5), "even sides"),
    ],
)
def test_a_form_that_cannot_be_is_a_config_error(pixels, size, message):
    with pytest.raises(ConfigError, match=message):
        Form(pixels=pixels, size=size)


def test_raw_pixels_without_a_size_are_a_config_error():
    with pytest.raises(ConfigError, match="--frame-size"):
        Form(pixels="bgr24").frame_bytes  # noqa: B018


@given(width=st.integers(0, 99999), height=st.integers(0, 99999))
def test_a_size_is_read_as_it_is_written(width, height):
    assert parse_size(f"{width}x{height}") == (width, height)


@pytest.mark.parametrize("text", ["", "640", "640*480", "-1x4", "640x480x3", "1234567x2"])
def test_what_is_no_size_is_a_config_error(text):
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        parse_size(text)
