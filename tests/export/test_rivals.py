import cv2
import numpy as np
import pytest

from isthmus.errors import ExportError, UsageError
from isthmus.export import rivals

SMOOTH = np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)


@pytest.mark.parametrize(
    ("names", "found"), [("jpeg,webp,avif,local", ("jpeg", "webp", "avif", "local")), (" local , local,", ("local",)), ("", ())]
)
def test_rivals_are_read_once_each(names, found):
    assert rivals.parse(names) == found


def test_an_unknown_rival_is_refused():
    with pytest.raises(UsageError, match="there is no rival 'h264'; known: jpeg, webp, avif, local"):
        rivals.parse("jpeg,h264")


def test_avif_is_refused_where_opencv_cannot_write_it(monkeypatch):
    monkeypatch.setattr(cv2, "haveImageWriter", lambda _suffix: False)
    with pytest.raises(ExportError, match="without AVIF"):
        rivals.parse("avif")


@pytest.mark.parametrize("codec", rivals.QUALITIES)
def test_what_arrives_is_the_picture_and_better_for_more_bytes(codec):
    found = [rivals.sent(codec, SMOOTH, quality) for quality in (rivals.QUALITIES[codec][0], rivals.QUALITIES[codec][-1])]
    errors = [np.abs(arrived.astype(int) - SMOOTH).mean() for _size, arrived in found]
    assert all(arrived.shape == SMOOTH.shape for _size, arrived in found)
    assert found[0][0] < found[1][0]
    assert errors[1] < min(errors[0], 8)
