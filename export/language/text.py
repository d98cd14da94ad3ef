"""A text as token ids, in windows: every other one to learn from, the rest to measure on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.contract.language import TOKENIZER
from isthmus.errors import ExportError, UsageError

WINDOW_TOKENS = 256
WINDOWS_MAX = 32
"""Spread evenly over the text: 4096 tokens to measure on, a few minutes for a model of a thousand million parameters."""
WINDOWS_MIN = 2
TEXT_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Text:
    """Windows of a text.

    Attributes:
        name: of its file.
        calibration: int64[window, token].
        measured: int64[window, token], other windows.
    """

    name: str
    calibration: np.ndarray
    measured: np.ndarray


def read(path: Path, folder: Path, *, vocabulary: int, positions: int) -> Text:
    """Read a text and part it.

    Args:
        path: of the text, in UTF-8.
        folder: of the model, whose tokenizer is used; what it puts before a text begins every window.
        vocabulary: of the model.
        positions: longest sequence; windows are no longer.

    Raises:
        UsageError: the text cannot be read or is too short, or the folder has no tokenizer.
        ExportError: the tokenizer is damaged, or of another model.
    """
    before, ids = _tokens(_content(path), folder)
    size = min(WINDOW_TOKENS, positions) - len(before)
    count = min(WINDOWS_MAX, len(ids) // max(1, size))
    if count < WINDOWS_MIN:
        raise UsageError(f"--data {path} has {len(ids)} tokens, at least {WINDOWS_MIN * size} are needed")
    if ids.max() >= vocabulary:
        raise ExportError(f"{folder}/{TOKENIZER} gives the token {ids.max()}, the model has {vocabulary}")
    starts = np.linspace(0, len(ids) - size, count).astype(int)
    windows = np.stack([np.concatenate([before, ids[start : start + size]]) for start in starts])
    return Text(name=path.name, calibration=windows[::2], measured=windows[1::2])


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > TEXT_MAX_BYTES:
            raise UsageError(f"--data {path} has more than {TEXT_MAX_BYTES >> 20} MiB; a text of some hundred kB is enough")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--data {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--data {path} is no text in UTF-8") from error


def _tokens(text: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the tokenizer puts before a text, and the text's own tokens."""
    from tokenizers import Tokenizer

    path = folder / TOKENIZER
    if not path.is_file():
        raise UsageError(f"--data needs the model's tokenizer, and {folder} has no {TOKENIZER}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as reason:  # tokenizers raises Exception itself
        raise ExportError(f"{path} cannot be read: {reason}") from reason
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    first = tokenizer.encode("a", add_special_tokens=False).ids[:1]
    whole = tokenizer.encode("a").ids
    before = whole[: whole.index(first[0])] if first and first[0] in whole else []
    return np.array(before, np.int64), np.array(plain, np.int64)
