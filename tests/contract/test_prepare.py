from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isthmus.contract.prepare import Preparation, geometry, prepare
from isthmus.errors import ConfigError

SIDES = st.integers(1, 90)
FITS = st.sampled_from(["stretch", "crop", "letterbox"])


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(**changed: Any) -> Preparation:
    return Preparation(**{"width": 16, "height": 12, "scale": 1.0, **changed})


def test_without_resizing_it_is_plain_arithmetic_in_rgb() -> None:
    picture = noise(12, 16)
    mean, deviation = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.4])
    preparation = plain(scale=1 / 255, mean=tuple(mean), standard_deviation=tuple(deviation))
    expected = ((picture[:, :, ::-1] / 255 - mean) / deviation).transpose(2, 0, 1)[np.newaxis]
    np.testing.assert_allclose(prepare(picture, preparation), expected, atol=1e-6)


def test_bgr_keeps_the_order_of_the_camera() -> None:
    picture = noise(12, 16)
    assert (prepare(picture, plain(colour="bgr", layout="nhwc"))[0] == picture).all()


def test_grey_weighs_the_colours_as_in_bt_601() -> None:
    picture = noise(12, 16)
    grey = prepare(picture, plain(colour="grey", mean=(0.0,), standard_deviation=(1.0,)))[0, 0]
    assert np.abs(grey - picture @ np.array([0.114, 0.587, 0.299])).max() <= 0.51


@given(height=SIDES, width=SIDES, fit=FITS, target=st.tuples(SIDES, SIDES), layout=st.sampled_from(["nchw", "nhwc"]))
def test_every_picture_becomes_the_declared_shape(
    height: int, width: int, fit: Any, target: tuple[int, int], layout: Any
) -> None:
    preparation = plain(height=target[0], width=target[1], fit=fit, layout=layout)
    prepared = prepare(noise(height, width), preparation)
    assert (prepared.shape, prepared.dtype) == (preparation.shape, np.dtype("float32"))
    assert prepared.flags.c_contiguous


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (1, 1), (3, 2999), (2999, 3)])
@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_extreme_aspect_ratios_become_the_declared_shape(fit: Any, height: int, width: int) -> None:
    preparation = plain(fit=fit)
    assert prepare(noise(height, width), preparation).shape == preparation.shape


def test_a_crop_that_would_need_terabytes_on_the_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="too long and narrow"):
        prepare(np.zeros((1, 4_000_000, 3), np.uint8), plain(width=224, height=224, fit="crop"))


def test_crop_keeps_the_centre_of_the_longer_side() -> None:
    picture = noise(12, 17)
    assert (prepare(picture, plain(fit="crop", colour="bgr", layout="nhwc"))[0] == picture[:, 1:]).all()


def test_letterbox_centres_the_picture_between_grey_bars() -> None:
    picture = noise(6, 16)
    boxed = prepare(picture, plain(fit="letterbox", colour="bgr", layout="nhwc"))[0]
    assert (boxed[3:9] == picture).all()
    assert (boxed[:3] == 114).all()
    assert (boxed[9:] == 114).all()


@given(height=SIDES, width=SIDES, fit=FITS, target=st.tuples(SIDES, SIDES))
def test_geometry_maps_the_edges_of_the_resized_picture_to_those_of_the_source(
    height: int, width: int, fit: Any, target: tuple[int, int]
) -> None:
    preparation = plain(height=target[0], width=target[1], fit=fit)
    place = geometry(preparation, width, height)
    start = np.array([place.offset_x, place.offset_y])
    end = start + np.array([width * place.scale_x, height * place.scale_y])
    np.testing.assert_allclose(place.to_source(np.stack([start, end])), [[0, 0], [width, height]], atol=1e-9)
    np.testing.assert_allclose(place.to_prepared(np.array([[0, 0], [width, height]])), np.stack([start, end]), atol=1e-9)
    outside = (start < -1e-9).any() or (end > np.array([target[1], target[0]]) + 1e-9).any()
    assert not (outside and fit != "crop")


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_geometry_finds_a_spot_in_the_source_again(fit: Any) -> None:
    picture = np.zeros((150, 210, 3), np.uint8)
    cv2.circle(picture, (90, 70), 12, (255, 255, 255), -1)
    preparation = plain(width=64, height=56, fit=fit, colour="bgr", layout="nhwc")
    bright = prepare(picture, preparation)[0, :, :, 0] > 128
    spot = np.argwhere(bright)[:, ::-1].mean(axis=0) + 0.5
    np.testing.assert_allclose(geometry(preparation, 210, 150).to_source(spot), [90.5, 70.5], atol=1.5)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("float32", (4, 4, 3)), ("uint8", (4, 4)), ("uint8", (4, 4, 4)), ("uint8", (0, 4, 3)), ("uint8", (4, 0, 3))],
)
def test_what_is_no_picture_is_refused(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"uint8\[row, column, 3\]"):
        prepare(np.zeros(shape, dtype), plain())


@pytest.mark.parametrize(
    "changed",
    [
        {"width": 0},
        {"height": 8193},
        {"mean": (0.0,)},
        {"standard_deviation": (1.0, 1.0, 0.0)},
        {"standard_deviation": (1.0, 1.0, float("nan"))},
        {"scale": float("inf")},
        {"colour": "grey"},
        {"fit": "squeeze"},
    ],
    ids=str,
)
def test_impossible_preparations_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        plain(**changed)
