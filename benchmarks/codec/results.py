"""Everything that is measured on codes alone: sizes, times, memory, as one JSON file for each bottleneck."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.codec import sizes, timing
from benchmarks.codec.material import Material, Say, read

from isthmus.codec.training import train_table

MEMORY_ROUNDS = (1, 2000)
"""Frames that a process codes before its memory is read: growth between the two would be a leak."""


def measure(folder: Path, names: Sequence[str], say: Say) -> list[dict[str, Any]]:
    """One entry for each bottleneck; bytes that are in the folder already are not counted again, times always are."""
    entries = []
    for name in names:
        material = read(folder, name)
        path = folder / f"{name}.sizes.json"
        if not path.exists():
            say(f"{name}: bytes")
            path.write_text(json.dumps(_bytes(material)))
        say(f"{name}: times")
        found = {"name": name, "shape": material.tensor.shape, "bits": material.tensor.bits, "facts": material.facts}
        entries.append({**found, **json.loads(path.read_text()), "times": _times(material)})
    return entries


def _bytes(material: Material) -> dict[str, Any]:
    table = sizes.intra_table(material)
    return {
        "table bytes": int(table.words().nbytes),
        "stills": sizes.stills(material, table),
        "films": {name: sizes.film(material, name, table) for name in material.films},
    }


def _times(material: Material) -> dict[str, Any]:
    table = sizes.intra_table(material)
    films = list(material.films.values())
    temporal = None
    if films:
        now, before = (np.concatenate([film[part] for film in films]) for part in (slice(1, None), slice(None, -1)))
        temporal = train_table(sizes.batch(material, now, before), material.tensor.bits)
    return {
        "frame": timing.frames(material, table, temporal),
        "binding": timing.binding(table),
        "memory KiB": [timing.memory_kib(material, table, rounds) for rounds in MEMORY_ROUNDS],
    }
