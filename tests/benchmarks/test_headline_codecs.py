"""Pictures that are sent instead of codes."""

import cv2
import numpy as np
import pytest


@pytest.fixture
def codecs(package):
    return package("benchmarks.headline.codecs")


@pytest.fixture
def picture():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("codec", ["webp", "avif", "jpeg"])
def test_better_pictures_take_more_bytes_and_come_nearer(codecs, picture, codec) -> None:
    found = []
    for quality in (5, 90):
        data = codecs.Setting(codec, 64, quality).encode(picture)
        arrived = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        found.append((len(data), -float(np.abs(arrived.astype(float) - picture).mean())))
    assert found[0][0] < found[1][0]
    assert found[0][1] < found[1][1]


@pytest.mark.parametrize("codec", ["webp", "avif", "jpeg"])
def test_bare_bytes_are_fewer_and_some_are_left(codecs, picture, codec) -> None:
    data = codecs.Setting(codec, 64, 50).encode(picture)
    assert 20 < codecs.bare_size(codec, data) < len(data)


def test_every_setting_is_in_one_band(codecs) -> None:
    settings = [codecs.Setting("webp", 96, quality) for quality in (1, 2, 3, 4)]
    bands = [codecs.band(settings, [100, 700, 701, 99_999], (700, 5000), bound) for bound in (700, 5000)]
    assert bands == [settings[:2], settings[2:]]


def test_a_view_is_compressed_the_same_way_each_time(package, codecs, picture) -> None:
    compressed = package("benchmarks.headline.sending").Compressed(
        [codecs.Setting("webp", 32, 1), codecs.Setting("webp", 64, 90)]
    )
    first = [compressed(picture, photo, 0) for photo in range(6)]
    assert all(np.array_equal(one, compressed(picture, photo, 0)) for photo, one in enumerate(first))
    assert len({one.tobytes() for one in first}) == 2
