import numpy as np
import pytest

from isthmus.contract.prepare import Preparation, fit
from isthmus.export.training.recipe import Views
from isthmus.export.training.views import shown, view

PREPARATION = Preparation(width=16, height=12, fit="crop")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
ALL = Views(count=5, mirror=True, crop_min=0.3, aspect_max=1.3, light=0.2)


def seen(number, views=ALL, seed=(0, 7)):
    return view(PICTURE, number, views, PREPARATION, seed=seed)


def test_the_first_view_is_what_the_device_prepares():
    assert np.array_equal(seen(0), fit(PICTURE, PREPARATION))


@pytest.mark.parametrize("number", range(5))
def test_a_view_has_the_prepared_size_and_is_the_same_each_time(number):
    assert seen(number).shape == (12, 16, 3)
    assert seen(number).dtype == np.uint8
    assert np.array_equal(seen(number), seen(number))


def test_views_differ_from_each_other_and_by_seed():
    assert len({seen(number).tobytes() for number in range(5)}) == 5
    assert not np.array_equal(seen(1), seen(1, seed=(1, 7)))
    assert not np.array_equal(seen(1), seen(1, seed=(0, 8)))


def test_mirrors_alone_turn_about_half_of_the_views_round():
    plain = fit(PICTURE, PREPARATION)
    turned = [np.array_equal(seen(number, Views(count=64, mirror=True)), plain[:, ::-1]) for number in range(1, 64)]
    assert 16 < sum(turned) < 48
    assert all(turned[index] or np.array_equal(seen(index + 1, Views(mirror=True)), plain) for index in range(63))


def test_mixed_views_lie_between_two_photos_and_are_the_same_each_time():
    pictures = [np.full((12, 16, 3), level, np.uint8) for level in (0, 100, 200)]
    views = Views(count=64, mixup=0.5)
    levels = [int(shown(pictures, 1, number, views, PREPARATION, seed=0)[0, 0, 0]) for number in range(64)]
    assert levels[0] == 100
    assert 16 < sum(level != 100 for level in levels) < 48
    assert min(levels) < 50
    assert max(levels) > 150
    assert levels == [int(shown(pictures, 1, number, views, PREPARATION, seed=0)[0, 0, 0]) for number in range(64)]
