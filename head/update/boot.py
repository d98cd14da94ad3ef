"""With which bundle the agent begins: the one that should run, if it is whole, and if it lasts; else what ran before."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from isthmus.contract import archive as zipped
from isthmus.contract.bundle import MANIFEST_MAX_BYTES, Bundle, open_bundle, read_manifest
from isthmus.contract.manifest import MANIFEST_NAME
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import BundleError, DeviceError
from isthmus.head.update.state import FACTORY, UpdateState
from isthmus.head.update.store import UpdateStore

STARTS_MAX = 3
"""Starts on trial. A bundle that ends the agent each time is given up after these; a power cut or two are not its fault."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What runs."""

    bundle: Bundle
    name: str
    """The archive's digest, or `FACTORY`."""


def choose(store: UpdateStore, factory: Path, trusted: TrustedKeys | None, *, counts: bool = True) -> Chosen:
    """Open the bundle that should run, and see to it that one runs in any case.

    A start on trial is counted, on the disk, before anything of the bundle is opened: whatever it does to the agent, it does it a
    bounded number of times.

    Args:
        store: what is known.
        factory: the bundle that the agent was set up with.
        trusted: keys of which one must have signed whatever runs; None asks for no signature.
        counts: whether this is a start; a look beside an agent that runs is none.

    Raises:
        BundleError: none of the bundles is whole, or signed as asked; says it of the one that the agent was set up with.
    """
    state = _step(store, lambda known: _count(set_up(known, factory)) if counts else set_up(known, factory))
    for name in _candidates(state):
        try:
            bundle = open_named(store, name, factory, trusted)
        except BundleError as error:
            if name == FACTORY:
                raise
            _log.error("bundle of an update cannot be used", archive=name[:12], reason=str(error))
            # A full disk, on which it cannot be unpacked, says nothing of the bundle: it runs again when there is room.
            if name == state.current and not isinstance(error.__cause__, OSError):
                state = _step(store, partial(UpdateState.roll_back, reason=f"it cannot be opened: {error}"))
            continue
        store.prune()
        _log.info("bundle chosen", bundle=str(bundle.manifest.id), archive=name[:12], trial_starts=store.read().trial_starts)
        return Chosen(bundle=bundle, name=name)
    raise AssertionError("the last candidate is opened or raises")


def _step(store: UpdateStore, step: Callable[[UpdateState], UpdateState]) -> UpdateState:
    """A step of the state; on a disk that takes nothing any more the device goes on as it is."""
    try:
        return store.change(step)
    except DeviceError as error:
        _log.error("what runs cannot be noted down", reason=str(error))
        return step(store.read())


def _count(state: UpdateState) -> UpdateState:
    if not state.on_trial:
        return state
    if state.trial_starts >= STARTS_MAX:
        return state.roll_back(f"the agent began {state.trial_starts} times with it, and it never proved itself")
    return state.start_again()


def set_up(state: UpdateState, factory: Path) -> UpdateState:
    """The state of an agent with that bundle: whoever puts another one in its place wants that one to run."""
    digest = manifest_sha256(factory)
    if not digest or digest == state.factory:
        return state
    if state.factory:
        _log.info("the agent was set up with another bundle; updates of the old one end", bundle=str(factory))
    return state.set_up_anew(digest)


def _candidates(state: UpdateState) -> Iterator[str]:
    yield state.current
    if state.previous not in ("", state.current):
        yield state.previous
    if FACTORY not in (state.current, state.previous):
        yield FACTORY


def open_named(store: UpdateStore, name: str, factory: Path, trusted: TrustedKeys | None) -> Bundle:
    """Open the bundle of a digest, or the one that the agent was set up with; every file of it is checked.

    Raises:
        BundleError: it is not there, not whole, or not signed as asked.
    """
    if name == FACTORY:
        return open_bundle(factory, trusted=trusted)
    return open_bundle(store.archive(name), cache=store.cache, trusted=trusted)


def manifest_sha256(path: Path) -> str:
    """SHA-256 of the manifest of a bundle, folder or zip, unchecked; empty where there is none to be read."""
    try:
        if path.is_dir():
            return hashlib.sha256(read_manifest(path / MANIFEST_NAME, path)).hexdigest()
        with zipfile.ZipFile(path) as archive, archive.open(MANIFEST_NAME) as member:
            return hashlib.sha256(member.read(MANIFEST_MAX_BYTES)).hexdigest()
    except (OSError, KeyError, BundleError, *zipped.ERRORS):
        return ""
