"""Do bundle, source and servers work here? The machine itself is looked at in `isthmus.devices.doctor`."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from isthmus.contract.bundle import Bundle
from isthmus.contract.filter import FILTER, FilterRecord
from isthmus.devices import golden, provider
from isthmus.devices.doctor import Finding, finding
from isthmus.devices.filtering import FilterNetwork
from isthmus.devices.runtime import Network
from isthmus.errors import DeviceError, IsthmusError
from isthmus.head.link import Link
from isthmus.head.model import DeviceModel
from isthmus.head.settings import AgentSettings
from isthmus.head.source import open_source

BUNDLE_ADVICE = "export or copy it again"
FRAMES_LOOKED_AT = 3
"""The first frame of a camera can be black, and the second tells its pace."""


def examine_bundle(bundle: Bundle, settings: AgentSettings) -> Iterator[Finding]:
    """Verify a bundle, and run its head as the agent would.

    Args:
        bundle: sound by its digests.
        settings: which network runs, and where.
    """

    def verify() -> str:
        frames = golden.read(bundle)
        golden.check_codec(bundle, frames)
        for name in (golden.HEAD, golden.INT8_HEAD):
            if bundle.has(name):
                golden.check_head(bundle, frames, Network.of_bundle(bundle, name))
        if bundle.has(golden.LOCAL):
            golden.check_local(bundle, frames, Network.of_bundle(bundle, golden.LOCAL))
        if bundle.has(FILTER):
            golden.check_filter(bundle, frames, FilterNetwork(bundle))
        return f"{bundle.manifest.id}, contract {bundle.digest[:12]}: digests, codec and head are sound"

    def compute() -> str:
        chain = provider.chain(provider.candidates(settings.provider)[0])
        int8 = settings.int8 and bundle.has(golden.INT8_HEAD)
        model = DeviceModel(bundle, golden.INT8_HEAD if int8 else golden.HEAD, threads=settings.threads, providers=chain)
        picture = np.zeros((480, 640, 3), np.uint8)
        # The first time memory is laid out.
        model.compute(picture)
        computed = model.compute(picture)
        return f"{computed.compute_s * 1e3:.1f} ms a frame on {model.providers[0]}, {settings.threads} thread(s)"

    yield _tried("bundle", verify, BUNDLE_ADVICE)
    yield _tried("head", compute, "see the line on onnxruntime")
    if bundle.manifest.filter is not None:
        yield _filter(bundle.manifest.filter, runs=settings.placement in ("split", "auto") and settings.filtering)


def _filter(record: FilterRecord, *, runs: bool) -> Finding:
    """Whether the neural filter runs, and what it promises."""
    if not runs:
        return finding("filter", "the bundle has one, the settings leave it out")
    advice = "calibrate it on more film with `isthmus filter`"
    return finding("filter", record.promise, bad=not record.certified, severe=False, advice=advice)


def examine_source(settings: AgentSettings) -> Finding:
    """Take some frames."""

    def look() -> str:
        with open_source(settings.source, fps=settings.fps, form=settings.form) as source:
            started = time.monotonic()
            frames = [frame for _ in range(FRAMES_LOOKED_AT) if (frame := source.read()) is not None]
            took = time.monotonic() - started
        if not frames:
            raise DeviceError("it ended before its first frame")
        height, width = frames[-1].image.shape[:2]
        return f"{source.description}: {width}x{height}, {len(frames)} frame(s) in {took:.1f} s"

    return _tried("source", look, "try the same with another program")


def examine_server(bundle: Bundle, settings: AgentSettings) -> Iterator[Finding]:
    """Open a stream at each of the servers."""
    for address in settings.tails:

        def call(address: str = address) -> str:
            with Link(bundle, [address], device_id=f"{settings.device_id}/doctor", credentials=settings.credentials) as link:
                started = time.monotonic()
                link.wait_connected(settings.connect_wait_s)
                return f"takes this bundle, after {(time.monotonic() - started) * 1e3:.0f} ms"

        yield _tried(f"server {address}", call, "is `isthmus serve` running there, with the same bundle?")


def _tried(check: str, attempt: Callable[[], str], advice: str) -> Finding:
    """A check by trying; what it says is the finding, an error of ours is a failure with that error's exit code."""
    try:
        return finding(check, attempt())
    except IsthmusError as error:
        return failure(check, error, advice)


def failure(check: str, error: IsthmusError, advice: str) -> Finding:
    """A check that met an error."""
    return Finding(check=check, verdict="fail", found=str(error), advice=advice, exit_code=error.exit_code)
