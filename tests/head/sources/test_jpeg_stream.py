import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import SourceError
from isthmus.head.sources.jpeg_stream import JpegStream

NOISE = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)


def encode(*options):
    return bytes(cv2.imencode(".jpg", NOISE, list(options))[1])


PLAIN = encode()
PROGRESSIVE = encode(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = encode(cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
WITH_THUMBNAIL = PLAIN[:2] + b"\xff\xe1" + (len(PROGRESSIVE) + 2).to_bytes(2, "big") + PROGRESSIVE + PLAIN[2:]
KINDS = [PLAIN, PROGRESSIVE, RESTARTS, WITH_THUMBNAIL]
BETWEEN = [
    b"",
    b"\r\n--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n\r\n",
    b"\xff",
    b"\xff\xd8",
    b"\xff\xd8\xff\xd8",
]


def take_all(stream):
    return list(iter(stream.take, None))


@given(
    parts=st.lists(st.tuples(st.sampled_from(BETWEEN), st.sampled_from(KINDS)), max_size=4),
    cuts=st.lists(st.integers(0, 20000), max_size=12),
)
def test_pictures_come_out_as_they_went_in_wherever_the_bytes_are_cut(parts, cuts):
    data = b"".join(between + picture for between, picture in parts) + b"\r\n"
    stream, taken = JpegStream(), []
    bounds = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    for start, end in itertools.pairwise(bounds):
        stream.feed(data[start:end])
        taken += take_all(stream)
    assert taken == [picture for _, picture in parts]
    assert stream.rest <= 2


@given(data=st.binary(max_size=300))
def test_any_bytes_before_a_picture_at_most_delay_it(data):
    stream = JpegStream()
    stream.feed(data)
    take_all(stream)
    for _ in range(3):
        stream.feed(PLAIN)
    assert PLAIN in [stream.take() for _ in range(4)] or stream.rest > len(PLAIN)


def test_a_thumbnail_alone_would_have_ended_the_picture():
    assert WITH_THUMBNAIL.index(b"\xff\xd9") < len(WITH_THUMBNAIL) - 2


def test_a_picture_that_does_not_end_is_a_source_error():
    stream = JpegStream(bytes_max=1000)
    stream.feed(PLAIN[:-2] + bytes(2000))
    with pytest.raises(SourceError, match="does not end within 1000 bytes"):
        stream.take()


def test_bytes_without_a_picture_do_not_pile_up():
    stream = JpegStream()
    for _ in range(100):
        stream.feed(b"\0" * 1000)
        assert stream.take() is None
    assert stream.rest <= 2
