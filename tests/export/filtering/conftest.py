"""Film that is drawn: a grey scene with noise, in which a bright square is to be seen during events."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from isthmus.export.filtering.footage import Film, Footage, Shot


def picture(random: np.random.Generator, *, seen: bool) -> np.ndarray:
    image = np.clip(random.normal(90, 6, (32, 32, 3)), 0, 255).astype(np.uint8)
    if seen:
        row, column = random.integers(0, 20, 2)
        image[row : row + 12, column : column + 12] = (40, 220, 240)
    return image


@pytest.fixture(scope="session")
def footage() -> Callable[..., Footage]:
    """A function that draws: frames in all, and (first, last) of each event; 10 frames a second."""

    def make(frames: int = 120, events: Sequence[tuple[int, int]] = ((20, 29), (60, 69), (100, 105)), *, name: str = "drawn.mp4"):
        random = np.random.default_rng(frames)

        def shots() -> Iterator[Shot]:
            for index in range(frames):
                seen = any(first <= index <= last for first, last in events)
                yield Shot(index=index, name="", picture=picture(random, seen=seen), truth=seen)

        return Footage(name=name, fps=10.0, shots=shots())

    return make


@pytest.fixture
def film() -> Callable[..., Film]:
    """A function that makes film of a text: `#` is to be seen, `?` is not known; codes are the numbers of the frames."""

    def make(text: str, *, fps: float = 1.0) -> Film:
        codes = np.arange(len(text), dtype=np.int8).reshape(-1, 1, 1, 1)
        told = np.array(list(text))
        return Film(name="text", fps=fps, codes=(codes,), seen=told == "#", known=told != "?")

    return make


@pytest.fixture
def pictures_of_classes(tmp_path: Path) -> Path:
    """Forty frames in two class folders, numbered through: 10 to 19 and 30 to 34 in `thing`, the others in `empty`."""
    import cv2

    random = np.random.default_rng(0)
    for index in range(40):
        seen = 10 <= index < 20 or 30 <= index < 35
        folder = tmp_path / ("thing" if seen else "empty")
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"frame{index}.png"), picture(random, seen=seen))
    return tmp_path
