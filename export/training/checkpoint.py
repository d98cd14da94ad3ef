"""A training's state on disk, and steps that an interruption does not tear.

A checkpoint says what training it is of (`made_for`); another training refuses it instead of going on with foreign weights.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import torch

from isthmus.errors import ExportError

log = structlog.get_logger()

MESSAGE_MAX = 200
"""Letters of torch's reason in a message; it lists every weight that does not fit."""


def write(path: Path, state: Mapping[str, Any], made_for: Mapping[str, Any]) -> None:
    """Write a checkpoint; an older one is replaced at the end.

    Where that fails, as on a full disk, it is logged and training goes on: what was learned counts more.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**state, "made_for": dict(made_for)}, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the latter
        log.warning("checkpoint not written: is the disk full?", file=str(path), reason=str(error)[:MESSAGE_MAX])
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read(path: Path, made_for: Mapping[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of the training that `made_for` describes.

    Raises:
        ExportError: damaged, not a checkpoint, or of another training; the message names the first difference.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        found: dict[str, Any] = dict(state["made_for"])
    except Exception as error:  # torch raises its own kinds, pickle's and zipfile's
        raise refusal(path, f"it cannot be read: {error!r}") from error
    for name, wanted in made_for.items():
        if found.get(name) != wanted:
            raise refusal(path, f"it has {name} {found.get(name)}, this training {wanted}")
    return state


def refusal(path: Path, reason: str) -> ExportError:
    """The error for a checkpoint that cannot be used, in one line."""
    words = " ".join(reason.split())[:MESSAGE_MAX]
    return ExportError(f"checkpoint {path} does not fit this training ({words}); remove it, or leave out --resume")


@contextmanager
def untorn() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends: a step torn in the middle would be taken twice after a resume."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if held and callable(before):
        before(*held[-1])
