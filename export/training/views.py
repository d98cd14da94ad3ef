"""Views of a photo: the photo itself, then mirrored crops of it in another light, the same ones each time.

Views are few and fixed, so that what the unsplit network says about each is computed once and kept. Random crops as in the
training of classifiers (Szegedy et al. 2015, "Going Deeper with Convolutions"), one draw for each view. Mixing two photos
(Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization") shows what the unsplit network does where it has not learned the
answer by heart (Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and consistent").
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from isthmus.contract.picture import Picture
from isthmus.contract.prepare import Preparation, fit
from isthmus.export.training.recipe import Views

MIDDLE_GREY = 128.0
DARKEST = 0.75
"""Of the change of contrast: how much the brightness changes."""

MIXED = 1
"""Apart from the draws that make a view are those that say what it is mixed with."""


def shown(pictures: Sequence[Picture], photo: int, number: int, views: Views, preparation: Preparation, *, seed: int) -> Picture:
    """What is shown of a photo: one of its views, by itself or mixed with the view of another photo.

    Args:
        pictures: all photos, uint8[row, column, 3] BGR each.
        photo: place among them.
        number: of the view; 0 is the photo as it is prepared on the device.
        views: what views there are.
        preparation: whose size the view gets.
        seed: of all views.

    Returns:
        uint8[row, column, 3] BGR of the prepared size.
    """
    own = view(pictures[photo], number, views, preparation, seed=(seed, photo))
    random = np.random.default_rng((seed, photo, number, MIXED))
    if number == 0 or random.random() >= views.mixup:
        return own
    other, weight = int(random.integers(len(pictures))), random.random()
    beside = view(pictures[other], number, views, preparation, seed=(seed, other))
    return np.asarray(cv2.addWeighted(own, weight, beside, 1 - weight, 0.0), dtype=np.uint8)


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
