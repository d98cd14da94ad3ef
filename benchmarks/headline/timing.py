"""What contenders take on the device: all in turns in one process, on one thread, in another order each round.

Whatever else the machine does meets all of them alike; medians stand, with the quartiles beside them.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.headline import bundles, sending
from benchmarks.headline.store import Store, write_json

from isthmus.contract.prepare import prepare
from isthmus.devices.runtime import Network

if TYPE_CHECKING:
    from benchmarks.headline.stages import Course

FILE = "times.json"
ROUNDS = 60
SLOW_S = 0.005
"""Calls that take longer are made in every sixth round only."""
SLOW_EVERY = 6

Call = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Milliseconds of a call: median, quartiles, least."""

    median: float
    low: float
    high: float
    least: float


def in_turns(calls: Mapping[str, Call], rounds: int = ROUNDS) -> dict[str, Times]:
    """Times of each call."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    random = np.random.default_rng(0)
    slow = {name for name, call in calls.items() if _spent(call) + _spent(call) > 2 * SLOW_S}
    for turn in range(rounds):
        for name in random.permutation(list(calls)):
            if name not in slow or turn % SLOW_EVERY == 0:
                spent[name].append(_spent(calls[name]) * 1e3)
    return {
        name: Times(
            median=float(np.median(taken)),
            low=float(np.quantile(taken, 0.25)),
            high=float(np.quantile(taken, 0.75)),
            least=min(taken),
        )
        for name, taken in spent.items()
    }


def _spent(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def of(store: Store, courses: Sequence["Course"], *, anew: bool) -> dict[str, Times]:
    """Times of all contenders that there are, each out of the first split that has it.

    Args:
        store: of the results; times are kept in it.
        courses: in order.
        anew: measure all of them if some have no times yet; else those that are kept are given.
    """
    path = store.root / FILE
    kept = {name: Times(**found) for name, found in json.loads(path.read_text()).items()} if path.exists() else {}
    if not anew:
        return kept
    calls: dict[str, Call] = {}
    for course in courses:
        for name, make in _contenders(store, course):
            if name not in calls:
                calls[name] = make
    if set(calls) <= set(kept):
        return kept
    found = in_turns(calls)
    write_json(path, {name: asdict(times) for name, times in found.items()})
    return found


def _contenders(store: Store, course: "Course") -> Iterator[tuple[str, Call]]:
    photo = course.photos.pictures(course.split.reporting[:1])[0]
    stages = [*course.main(), *course.seeded(), *course.recipes()]
    is_first = True
    for stage in stages:
        facts = store.facts(stage) or {}
        folder = store.folder(stage)
        for told in facts.get("contenders", []):
            name = f"{told['family']} {told['setting']} {told['variant']}"
            if "model" in told:
                side = stage.settings["local"]["side"] if "local" in stage.settings else course.scale.side
                yield name, _network(folder / told["model"], prepare(photo, course.preparation(side)))
            elif "head" in told and told["seed"] == 0:
                yield from _ends(name, bundles.Ends.of(folder / bundles.FILE, told["head"]), photo, told["point"])
        if facts and is_first:
            # What a codec takes does not depend on any training.
            is_first = False
            (fitted,) = sending.fitted([photo], course.preparation())
            for setting in course.scale.pictures:
                yield f"{setting.codec} {setting.side}px q{setting.quality} encode", _encoding(setting.encode, fitted)


def _network(model: Path, prepared: np.ndarray) -> Call:
    network = Network.load(model)
    feeds = {network.inputs[0].name: prepared}
    return lambda: network.run(feeds)


def _ends(name: str, ends: bundles.Ends, photo: np.ndarray, point: int) -> Iterator[tuple[str, Call]]:
    preparation = ends.bundle.manifest.preparation
    assert preparation is not None
    feeds = {ends.bundle.manifest.input.name: prepare(photo, preparation)}
    codes = ends.codes(feeds[ends.bundle.manifest.input.name])
    yield f"{name} head", lambda: ends.head.run(feeds)
    yield f"{name} codec", lambda: ends.codec.encode(codes, point=point)


def _encoding(encode: Callable[[np.ndarray], bytes], picture: np.ndarray) -> Call:
    return lambda: encode(picture)
