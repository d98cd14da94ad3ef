"""Answers over slow links: device, shaper and server as processes, a fresh device and a fresh link for each cell."""

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.llm.models import Say

from isthmus.bench import programs
from isthmus.bench.programs import Program
from isthmus.contract.bundle import LanguageBundle
from isthmus.devices import link as profiles

RATES = ("1mbit", "10mbit", "100mbit")
ROUND_TRIPS = ("0ms", "5ms", "20ms", "50ms")
TIMEOUT_S = 240.0
ROOT = Path(__file__).parents[2]
TORCH = "transformers on torch, float32"
ALONE = ""
"""Link of who asks no server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Who computes what, and what crosses.

    Attributes:
        name: on the page.
        bundle: of device and server.
        arguments: of the device's process.
        serves: whether there is a server.
        pictures: `off` where the server need not hold the whole model.
    """

    name: str
    bundle: LanguageBundle
    arguments: tuple[str, ...] = ()
    serves: bool = True
    pictures: str = "off"


@dataclass(slots=True)
class Size:
    """How much is measured.

    Attributes:
        prompt, tokens: of a conversation.
        rounds: in which every cell has its turn.
        links: as the shaper takes them.
    """

    prompt: int = 64
    tokens: int = 16
    rounds: int = 1
    links: Sequence[str] = field(default_factory=lambda: [f"{rate}/{trip}" for rate in RATES for trip in ROUND_TRIPS])


def placements(cuts: Sequence[LanguageBundle], sandwich: LanguageBundle | None, folder: Path) -> list[Placement]:
    """Alone, split at every cut, token ids.

    Args:
        cuts: bundles of one model, each with the whole model too.
        sandwich: the same in that layout.
        folder: of the model, for transformers.
    """
    first = cuts[0]
    found = [
        Placement(name=TORCH, bundle=first, arguments=("--torch", str(folder.resolve())), serves=False),
        Placement(name="device alone", bundle=first, serves=False),
    ]
    for bundle in cuts:
        for mode in ("int8", "int4"):
            name = f"split behind layer {bundle.manifest.cut}, {mode}"
            found.append(Placement(name=name, bundle=bundle, arguments=("--hidden", mode)))
    if sandwich is not None:
        layers = sandwich.manifest.split
        name = f"sandwich {layers[0].layers}+{layers[-1].layers}, int8"
        found.append(Placement(name=name, bundle=sandwich, arguments=("--hidden", "int8")))
    found.append(Placement(name="token ids", bundle=first, arguments=("--layout", "tokens"), pictures="on"))
    return found


def measure(offered: Sequence[Placement], size: Size, *, say: Say) -> list[dict[str, Any]]:
    """A row for every placement, link and round; over a link all placements have their turns before the next link.

    Raises:
        RuntimeError: a device failed; carries its last line.
        TailUnavailable: a server or the shaper did not start.
    """
    found = []
    with contextlib.ExitStack() as stack:
        servers = _servers(stack, offered)
        for turn in range(size.rounds):
            alone = [one for one in offered if not one.serves]
            found += [_row(one, ALONE, turn, _device(one, size, ())) for one in alone]
            for link in size.links:
                say(f"round {turn + 1} of {size.rounds}: {link}")
                for one in offered:
                    if one.serves:
                        found.append(_row(one, link, turn, _over(one, servers[_served(one)], link, size)))
    return found


def _served(placement: Placement) -> tuple[Path, str]:
    return placement.bundle.origin, placement.pictures


def _servers(stack: contextlib.ExitStack, offered: Sequence[Placement]) -> dict[tuple[Path, str], Program]:
    wanted = dict.fromkeys(_served(one) for one in offered if one.serves)
    extras = {"off": ("--pictures", "off"), "on": ()}
    return {key: stack.enter_context(programs.server(key[0], extra=extras[key[1]])) for key in wanted}


def _over(placement: Placement, server: Program, link: str, size: Size) -> dict[str, Any]:
    """One cell; what passed the shaper counts greeting, prompt, answer and all that HTTP/2 adds."""
    with programs.shaper(server.match["grpc"], profiles.parse(link)) as shaper:
        told = _device(placement, size, ("--tail", shaper.match["address"], "--server", str(server.pid)))
    return told | {"passed_bytes": programs.passed_bytes(shaper)}


def _device(placement: Placement, size: Size, addressed: Sequence[str]) -> dict[str, Any]:
    lengths = ("--prompt", str(size.prompt), "--tokens", str(size.tokens))
    program = (sys.executable, "-m", "benchmarks.llm.device", str(placement.bundle.origin.resolve()))
    command = [*program, *placement.arguments, *lengths]
    done = subprocess.run([*command, *addressed], capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{placement.name}: the device failed with exit code {done.returncode}: {lines[-1]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _row(placement: Placement, link: str, turn: int, told: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "link", "placement": placement.name, "link": link, "round": turn, **told}


def medians(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each cell: medians over its rounds."""
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["link"], row["placement"]), []).append(row)
    return [_median(of) for of in cells.values()]


def _median(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    merged = {}
    for name, value in rows[0].items():
        values = [row[name] for row in rows]
        merged[name] = float(statistics.median(values)) if isinstance(value, float) else value
    return merged
