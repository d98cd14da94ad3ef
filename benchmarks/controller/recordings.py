"""Which recorded links are for tuning and which are reported; no recording is in both.

Mahimahi's two drives have an up and a down each: the drive with AT&T is for tuning, that with Verizon is reported. Of Pensieve's
127 recordings (3G on buses, trains, trams, ferries and cars in Oslo; broadband in the US), by name, one of four is for tuning and
another one of four is reported.
"""

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isthmus.devices.link import LinkProfile
from isthmus.devices.rate_trace import read_trace

DATA = Path(os.environ.get("ISTHMUS_DATA", "../shared/data"))
ROUND_TRIP_S = 0.040
"""The recordings hold none. 40 ms is what LTE networks have without load."""
_EVERY = 4
Part = Literal["tuned", "reported"]
_PARTS: dict[Part, tuple[str, int]] = {"tuned": ("ATT", 0), "reported": ("Verizon", 2)}
"""Mahimahi's drive, and which of every four of Pensieve's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded link."""

    name: str
    kind: str
    profile: LinkProfile


def unpack(folder: Path) -> Path:
    """Lay the recordings out below the folder."""
    target = folder / "traces"
    if not target.is_dir():
        for archive in ("mahimahi_traces.tar.gz", "pensieve_train_traces.tar.gz"):
            with tarfile.open(DATA / "traces" / archive) as packed:
                packed.extractall(target, filter="data")
    return target


def files(folder: Path, part: Part) -> list[Path]:
    """Of the recordings that the defaults of the controller were chosen on, or of those that figures come from."""
    found = sorted(path for path in unpack(folder).rglob("*") if path.is_file())
    drives = [path for path in found if path.suffix in (".up", ".down")]
    others = [path for path in found if path not in drives]
    drive, remainder = _PARTS[part]
    return [path for path in drives if path.name.startswith(drive)] + others[remainder::_EVERY]


def read(folder: Path, part: Part) -> list[Recording]:
    """The recordings of a part."""
    return [_recording(path) for path in files(folder, part)]


def _recording(path: Path) -> Recording:
    profile = LinkProfile(trace=read_trace(path), trace_file=str(path), round_trip_s=ROUND_TRIP_S)
    return Recording(name=_short(path.name), kind=_kind(path.name), profile=profile)


def _kind(name: str) -> str:
    if "LTE" in name:
        return "LTE"
    return "broadband" if name.startswith("trace_") else f"3G {name.partition('.')[0]}"


def _short(name: str) -> str:
    """Without what all have."""
    return name.replace("-report", "").replace("http---www.", "").removesuffix(".log")
