"""Results on disk, stage by stage: what was made under the same settings is not made again.

    FOLDER/SPLIT/NAME-KEY/          what a stage made
    FOLDER/SPLIT/NAME-KEY/done.json its settings and facts, written last

The key is a digest of the stage's settings and of the keys of the stages that it needs, so that other settings never meet old
results. A stage that was interrupted goes on from the checkpoints in its folder.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

DONE = "done.json"
SPENT = "spent.json"
"""Seconds that went into a stage so far, interrupted or not."""
KEY_LETTERS = 10

Tell = Callable[[float, str], None]
"""Called with the part of a stage that is over, 0 to 1, and words."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """A piece of work.

    Attributes:
        split: name of the split of the photos that it belongs to, the folder.
        name: of the work, unique in its split.
        settings: everything that its result depends on beside what it needs; JSON.
        needs: stages that come before.
        work: does it, in the folder it is given, and returns facts for `done.json`.
    """

    split: str
    name: str
    settings: Mapping[str, Any]
    needs: tuple["Stage", ...] = ()
    work: Callable[["Work"], Mapping[str, Any]] = field(default=lambda _work: {})

    @cached_property
    def key(self) -> str:
        """Digest of the settings and of what it needs."""
        told = json.dumps([self.split, self.name, dict(self.settings), [stage.key for stage in self.needs]], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:KEY_LETTERS]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.split} {self.name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """What a stage is given.

    Attributes:
        folder: to write into; what an interrupted run left is there.
        store: where the stages that it needs are.
        tell: to be called now and then.
    """

    folder: Path
    store: "Store"
    tell: Tell


class Store:
    """A folder of results."""

    def __init__(self, folder: Path) -> None:
        self.root = folder

    def folder(self, stage: Stage) -> Path:
        """Where a stage's results are."""
        return self.root / stage.split / f"{stage.name.replace(' ', '-')}-{stage.key}"

    def facts(self, stage: Stage) -> dict[str, Any] | None:
        """What a stage that is done told; None where it is not done."""
        try:
            found: dict[str, Any] = json.loads((self.folder(stage) / DONE).read_text())
        except FileNotFoundError:
            return None
        return found

    def is_done(self, stage: Stage) -> bool:
        """Whether there is nothing left to do."""
        return (self.folder(stage) / DONE).exists()

    def perform(self, stage: Stage, tell: Tell) -> None:
        """Do a stage's work, unless it is done."""
        if self.is_done(stage):
            return
        folder = self.folder(stage)
        folder.mkdir(parents=True, exist_ok=True)
        with _spent(folder / SPENT):
            facts = stage.work(Work(folder=folder, store=self, tell=tell))
        seconds = json.loads((folder / SPENT).read_text())["seconds"]
        write_json(folder / DONE, {"name": stage.name, "settings": dict(stage.settings), "seconds": seconds, **facts})

    def seconds_left(self, stages: Sequence[Stage]) -> tuple[float, int]:
        """Seconds that those will take that are not done, and for how many of them there is nothing to go by.

        A stage takes as long as the stages of its name in other splits did, or those whose name begins with the same word.
        """
        known: dict[str, list[float]] = {}
        for stage in stages:
            if (facts := self.facts(stage)) is not None:
                for name in (stage.name, stage.name.split()[0]):
                    known.setdefault(name, []).append(facts["seconds"])
        total, unknown = 0.0, 0
        for stage in stages:
            if self.is_done(stage):
                continue
            spent = known.get(stage.name) or known.get(stage.name.split()[0])
            if spent:
                total += sum(spent) / len(spent)
            else:
                unknown += 1
        return total, unknown


@contextmanager
def _spent(path: Path) -> Iterator[None]:
    before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
    started = time.monotonic()
    try:
        yield
    finally:
        write_json(path, {"seconds": round(before + time.monotonic() - started, 1)})


def with_needed(stages: Sequence[Stage]) -> list[Stage]:
    """Stages and all that they need, what is needed first."""
    found: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        for needed in stage.needs:
            visit(needed)
        found.setdefault(stage.key, stage)

    for stage in stages:
        visit(stage)
    return list(found.values())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(path)
