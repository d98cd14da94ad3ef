"""Views of a photo: the photo itself, then mirrored crops of it in another light, the same ones each time.

Views are few and fixed, so that what the unsplit network says about each is computed once and kept. Random crops as in the
training of classifiers (Szegedy et al. 2015, "Going Deeper with Convolutions"), one draw for each view.
"""

import math

import cv2
import numpy as np

from isthmus.contract.picture import Picture
from isthmus.contract.prepare import Preparation, fit
from isthmus.export.training.recipe import Views

MIDDLE_GREY = 128.0
DARKEST = 0.75
"""Of the change of contrast: how much the brightness changes."""


def view(picture: Picture, number: int, views: Views, preparation: Preparation, *, seed: tuple[int, ...]) -> Picture:
    """One view of a photo.

    Args:
        picture: uint8[row, column, 3] BGR.
        number: of the view; 0 is the photo as it is prepared on the device.
        views: what views there are.
        preparation: whose size the view gets.
        seed: of the photo; with the number it says all of the view.

    Returns:
        uint8[row, column, 3] BGR of the prepared size.
    """
    if number == 0:
        return fit(picture, preparation)
    random = np.random.default_rng((*seed, number))
    seen = _crop(picture, views, preparation, random) if views.crop_min < 1 else fit(picture, preparation)
    if views.mirror and random.random() < 0.5:
        seen = seen[:, ::-1]
    if views.light:
        seen = _lit(seen, views.light, random)
    return np.ascontiguousarray(seen)


def _crop(picture: Picture, views: Views, preparation: Preparation, random: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    area = height * width * random.uniform(views.crop_min, 1.0)
    aspect = math.exp(random.uniform(-math.log(views.aspect_max), math.log(views.aspect_max)))
    aspect *= preparation.width / preparation.height
    columns = max(1, min(width, round(math.sqrt(area * aspect))))
    rows = max(1, min(height, round(math.sqrt(area / aspect))))
    left, top = int(random.integers(0, width - columns + 1)), int(random.integers(0, height - rows + 1))
    size = (preparation.width, preparation.height)
    return cv2.resize(picture[top : top + rows, left : left + columns], size, interpolation=cv2.INTER_LINEAR)


def _lit(picture: Picture, most: float, random: np.random.Generator) -> Picture:
    contrast = random.uniform(1 - most, 1 + most)
    brightness = random.uniform(1 - DARKEST * most, 1 + DARKEST * most)
    changed = (picture.astype(np.float32) - MIDDLE_GREY) * contrast + MIDDLE_GREY * brightness
    return changed.clip(0, 255).round().astype(np.uint8)
