"""A new bundle is opened and run in a process of its own before the agent touches it.

A network that kills its process (an operator that needs another CPU, no memory) kills that one only; it runs at low priority, so
that frames are not disturbed; and what it allocated is given back. It does all that the agent relies on: signature, digests,
place in time, golden frames through codec and head, and a picture through the network that would answer.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.contract.filter import FILTER
from isthmus.contract.trust import read_trusted
from isthmus.devices import golden
from isthmus.devices import provider as providers
from isthmus.devices.filtering import FilterNetwork
from isthmus.devices.runtime import Network, Provider
from isthmus.errors import BundleError, ConfigError, DeviceError, IsthmusError, SignatureError
from isthmus.head.model import DeviceModel, local_network
from isthmus.head.update.precedence import Edition, check_successor

TIMEOUT_S = 300.0
"""Importing, hashing and running a few frames; minutes on the slowest board that still runs a head."""
NICE = 10
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How the agent would run the bundle."""

    placement: str = "split"
    point: int = 0
    int8: bool = True
    threads: int = 1
    provider: providers.Choice = "auto"
    trust: str = ""
    """Public key, or folder of them; empty asks for no signature."""


class Refused(BundleError):
    """A bundle that will not do on this device, however often it is tried.

    Attributes:
        lasting: whether the bundle itself is to blame; another set of trusted keys, say, may let it pass.
    """

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


def rehearse(
    archive: Path,
    *,
    cache: Path,
    part: Part,
    running: Edition,
    downgrade: bool,
    given_up: Callable[[], bool] = lambda: False,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Run the rehearsal of an archive.

    Args:
        archive: a `.isthmus` file.
        cache: where it is unpacked.
        part: how the agent would run it.
        running: what runs now.
        downgrade: whether an older one is asked for.
        given_up: asked now and then; true ends the process.
        timeout_s: a process that takes longer is killed, and the bundle refused.

    Raises:
        Refused: it is not sound, not signed by who is trusted, older, gives other codes, or crashes.
        DeviceError: it could not be tried here and now: the disk is full, or the process was killed from outside.
    """
    asked = {
        "archive": str(archive),
        "cache": str(cache),
        "part": asdict(part),
        "running": asdict(running),
        "downgrade": downgrade,
    }
    command = [sys.executable, "-P", "-m", "isthmus.head.update.rehearsal", json.dumps(asked)]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    except OSError as error:
        raise DeviceError(f"no process can be started for the golden frames: {error.strerror}") from error
    with process:
        try:
            output, complaint = _wait(process, given_up, time.monotonic() + timeout_s)
        except TimeoutError as error:
            raise Refused(f"{archive.name} was not through its golden frames after {timeout_s:g} s", lasting=True) from error
        finally:
            process.kill()
    if process.returncode in (-signal.SIGKILL, -signal.SIGTERM):
        raise DeviceError(f"the golden frames of {archive.name} were killed from outside; is memory short?")
    if process.returncode < 0:
        raise Refused(f"{archive.name} crashes here with {signal.Signals(-process.returncode).name}", lasting=True)
    _read(output, complaint)


def _wait(process: "subprocess.Popen[str]", given_up: Callable[[], bool], until: float) -> tuple[str, str]:
    """What the process said, once it has ended."""
    while True:
        try:
            return process.communicate(timeout=max(0.01, min(_LOOK_S, until - time.monotonic())))
        except subprocess.TimeoutExpired:
            if given_up():
                raise DeviceError("the golden frames were stopped with the agent; they are run at the next look") from None
            if time.monotonic() >= until:
                raise TimeoutError from None


def _read(output: str, complaint: str) -> None:
    """Raise what the process said, if it failed."""
    try:
        said = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError) as error:
        last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
        raise DeviceError(f"the golden frames could not be run: {last[:300]}") from error
    if said["outcome"] == "refused":
        raise Refused(said["message"], lasting=said["lasting"])
    if said["outcome"] == "failed":
        raise DeviceError(said["message"])


def main() -> None:
    """The process: one JSON object as its argument, one on its output."""
    os.nice(NICE)
    asked = json.loads(sys.argv[1])
    try:
        examine(
            Path(asked["archive"]),
            Path(asked["cache"]),
            Part(**asked["part"]),
            running=Edition(**asked["running"]),
            downgrade=asked["downgrade"],
        )
        said: dict[str, Any] = {"outcome": "passed"}
    except IsthmusError as error:
        said = _told(error)
    print(json.dumps(said))


def _told(error: IsthmusError) -> dict[str, Any]:
    """Whose fault it is: the disk's, or the bundle's; and of what else on the device that depends."""
    if isinstance(error.__cause__, OSError) or isinstance(error, ConfigError):
        return {"outcome": "failed", "message": str(error)}
    lasting = isinstance(error, BundleError) and not isinstance(error, SignatureError | _OutOfOrder)
    return {"outcome": "refused", "message": str(error), "lasting": lasting}


class _OutOfOrder(BundleError):
    """Older, of another model, or without what this device is set to: no fault of the bundle."""


def examine(archive: Path, cache: Path, part: Part, *, running: Edition, downgrade: bool) -> Bundle:
    """Do all of it in this process.

    Raises:
        IsthmusError: the bundle will not do, or cannot be tried.
    """
    trusted = read_trusted(Path(part.trust)) if part.trust else None
    bundle = open_bundle(archive, cache=cache, trusted=trusted)
    try:
        check_successor(Edition.of(bundle.manifest), running, downgrade=downgrade)
    except BundleError as error:
        raise _OutOfOrder(str(error)) from error
    if part.placement == "split" and part.point >= len(bundle.manifest.points):
        raise _OutOfOrder(f"the update has {len(bundle.manifest.points)} operating point(s), this device runs point {part.point}")
    frames = golden.read(bundle)
    golden.check_codec(bundle, frames)
    *others, last = providers.candidates(part.provider)
    for name in others:
        try:
            _run(bundle, frames, part, providers.chain(name))
        except (BundleError, DeviceError):
            # The agent will find the same, and take the next one.
            continue
        return bundle
    _run(bundle, frames, part, providers.chain(last))
    return bundle


def _run(bundle: Bundle, frames: golden.GoldenFrames, part: Part, chain: Sequence[Provider]) -> None:
    """Every network that the agent would run: on golden frames, and on a picture as a camera gives it."""
    networks = []
    if part.placement in ("split", "auto"):
        networks.append(golden.INT8_HEAD if part.int8 and bundle.has(golden.INT8_HEAD) else golden.HEAD)
        head = Network.of_bundle(bundle, networks[0], threads=part.threads, providers=chain)
        golden.check_head(bundle, frames, head)
        if bundle.has(FILTER):
            golden.check_filter(bundle, frames, FilterNetwork(bundle))
    elif part.placement == "local":
        networks.append(local_network(bundle))
    if bundle.has(golden.LOCAL):
        own = Network.of_bundle(bundle, golden.LOCAL, threads=part.threads, providers=chain)
        golden.check_local(bundle, frames, own)
    for name in networks:
        DeviceModel(bundle, name, threads=part.threads, providers=chain).compute(np.zeros((480, 640, 3), np.uint8))


if __name__ == "__main__":
    main()
