"""What a belt's camera sees besides digits, and how its sensor and its lamps behave; all of it drawn from a generator."""

import colorsys
import math

import cv2
import numpy as np
from numpy.typing import NDArray

# Of one pixel, in grey levels: a small sensor in good indoor light.
NOISE_LEVELS = 3.0
# Room to move the window of a frame within the noise field; 128 * 128 places.
NOISE_MARGIN = 128

# Daylight moves by some percent within a minute; lamps and automatic exposure step.
DRIFT_SHARE = 0.05
DRIFT_FRAMES = (600, 1600)
STEP_MEAN_FRAMES = 600.0
STEP_GAIN = (0.82, 1.14)


def draw_surface(random: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a worn rubber belt between two steel rails.

    Returns:
        uint8[row, column, channel], blue, green, red.
    """
    tone = np.array([74.0, 70.0, 66.0]) + random.uniform(-8, 8, 3)
    blotches = cv2.resize(random.normal(0, 9, (9, 12)), (width, height), interpolation=cv2.INTER_CUBIC)
    streaks = cv2.blur(random.normal(0, 22, (height, width)), (61, 1))
    grain = random.normal(0, 4, (height, width))
    scene = tone + (blotches + streaks + grain)[:, :, None]
    for _ in range(6):
        _stain(random, scene)
    _rails(random, scene)
    return np.clip(scene, 0, 255).astype(np.uint8)


def _stain(random: np.random.Generator, scene: NDArray[np.float64]) -> None:
    """Darken or lighten a blurred ellipse of the belt, in place."""
    height, width = scene.shape[:2]
    spot = np.zeros((height, width), np.float32)
    centre = (int(random.integers(width)), int(random.integers(height)))
    axes = (int(random.integers(4, width // 9)), int(random.integers(2, height // 12)))
    cv2.ellipse(spot, centre, axes, float(random.uniform(0, 180)), 0, 360, (1.0,), -1)
    scene += cv2.GaussianBlur(spot, (0, 0), 2.0)[:, :, None] * random.uniform(-18, 14)


def _rails(random: np.random.Generator, scene: NDArray[np.float64]) -> None:
    """Lay a steel rail with bolts along the top and along the bottom, in place."""
    height, width = scene.shape[:2]
    depth = height // 16
    pitch = int(random.integers(width // 9, width // 5))
    for top in (0, height - depth):
        scene[top : top + depth] = 138 + random.normal(0, 5, (depth, width))[:, :, None]
        for column in range(pitch // 2, width, pitch):
            cv2.circle(scene, (column, top + depth // 2), max(2, depth // 4), (84.0, 86.0, 90.0), -1)
    scene[depth : depth + 2] -= 26
    scene[height - depth - 2 : height - depth] -= 26


def draw_colour(random: np.random.Generator) -> NDArray[np.float32]:
    """Draw the colour of a digit, light enough to stand out from the belt.

    Returns:
        float32[channel], blue, green, red, 0 to 255.
    """
    red, green, blue = colorsys.hsv_to_rgb(random.uniform(), random.uniform(0, 0.55), random.uniform(0.85, 1.0))
    return np.array([255 * blue, 255 * green, 255 * red], np.float32)


def draw_noise(random: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a field of sensor noise; each frame gets a window of it, which costs far less than noise drawn afresh.

    Returns:
        uint8[row, column, channel] around 128, larger than a picture by `NOISE_MARGIN` each way.
    """
    shape = (height + NOISE_MARGIN, width + NOISE_MARGIN, 3)
    noise: NDArray[np.float32] = random.standard_normal(shape, np.float32)
    levels: NDArray[np.uint8] = np.clip(np.rint(noise * NOISE_LEVELS + 128), 0, 255).astype(np.uint8)
    return levels


def draw_light(random: np.random.Generator, frames: int) -> NDArray[np.float32]:
    """Draw the course of the light: slow waves, times a level that steps now and then.

    Returns:
        float32[frame], the factor on every pixel, around 1.
    """
    times = np.arange(frames)
    drift = np.ones(frames)
    for share in (DRIFT_SHARE, DRIFT_SHARE / 2):
        drift += share * np.sin(2 * math.pi * (times / random.uniform(*DRIFT_FRAMES) + random.uniform()))
    level = np.ones(frames)
    at = 0
    while (at := at + 1 + int(random.exponential(STEP_MEAN_FRAMES))) < frames:
        level[at:] = random.uniform(*STEP_GAIN)
    return (drift * level).astype(np.float32)
