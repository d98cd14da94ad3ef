"""Fits an agent with rigs: the networks of a bundle, their link, and whatever else belongs to it."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import structlog

from isthmus.contract.bundle import Bundle
from isthmus.devices import golden, provider
from isthmus.devices.runtime import Provider
from isthmus.errors import BundleError, ConfigError, DeviceError, TailUnavailable
from isthmus.head.audit import FilterAudit
from isthmus.head.control import menu
from isthmus.head.evidence import EvidenceRing, no_evidence
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Local, Sender, Split, parse_offload
from isthmus.head.rig import Rig
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Sink
from isthmus.head.standby import Standby, check_network

FIRST_LINK_S = 0.5
"""How long a device that can do without a server waits for one at its start."""
SESSION_BYTES = 16
_log = structlog.get_logger()
Network = TypeVar("Network")

Networks = tuple[Local | Sender, Local | None]
"""What answers, and what the device answers with when no server does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What every rig of an agent shares.

    Attributes:
        settings: of the agent.
        ledger: whose sinks get the records.
        ring: keeps pictures of frames; None keeps none.
        waits: every picture counts, see `Standby`.
        patient: see `Link`.
    """

    settings: AgentSettings
    ledger: Ledger
    ring: EvidenceRing | None
    waits: bool
    patient: bool

    def fit(self, bundle: Bundle, networks: Networks, *, sinks: Sequence[Sink] = (), needs_server: bool) -> Rig:
        """A rig whose stream a server has taken.

        Raises:
            IsthmusError: as `open_agent`.
        """
        settings = self.settings
        placement, own = networks
        with ExitStack() as stack:
            link = None if isinstance(placement, Local) else stack.enter_context(self._link(bundle))
            if link is not None:
                can_do_without = own is not None or settings.delivery is not None
                _wait_connected(link, settings, can_do_without=can_do_without and not needs_server)
                if not isinstance(placement, Local) and placement.sends_pictures:
                    link.check_pictures()
            # What is answered before the first stream needs a name of its own too.
            first_session = secrets.token_bytes(SESSION_BYTES) if own is not None or settings.delivery is not None else b""
            session = (lambda: link.session or first_session) if link is not None else bytes
            audit = _audit(bundle, settings)
            ledger = self.ledger.reading(bundle.manifest, session, sinks if audit is None else [*sinks, audit])
            standby = None if own is None else stack.enter_context(Standby(own, ledger, waits=self.waits))
            chosen = _pilot(bundle, settings, placement, link, standby) if settings.placement == "auto" else placement
            close = stack.pop_all().close
            return Rig(placement=chosen, ledger=ledger, link=link, standby=standby, audit=audit, close=close)

    def _link(self, bundle: Bundle) -> Link:
        settings = self.settings
        if not settings.tails:
            raise ConfigError("no server is named: give --tail HOST:PORT; only the placement local works without one")
        return Link(
            bundle,
            settings.tails,
            device_id=settings.device_id,
            credentials=settings.credentials,
            evidence=no_evidence if self.ring is None else self.ring.find,
            patient=self.patient,
        )


def networks(bundle: Bundle, settings: AgentSettings) -> Networks:
    """Start what answers.

    Raises:
        ConfigError: the bundle does not allow the settings.
        BundleError: its networks are damaged.
        DeviceError: onnxruntime lacks the provider.
    """
    placement, own = _placement(bundle, settings), _own_network(bundle, settings)
    for network in (placement, own):
        if network is not None and network.providers:
            _log.info("network ready", placement=network.name, setting=network.setting, providers=network.providers)
    return placement, own


def _placement(bundle: Bundle, settings: AgentSettings) -> Local | Sender:
    if settings.placement == "offload":
        return parse_offload(settings.picture)
    if settings.placement == "local":
        return _started(settings, lambda chain: Local(bundle, threads=settings.threads, providers=chain))

    def start(chain: Sequence[Provider]) -> Split:
        return Split(
            bundle,
            threads=settings.threads,
            point=settings.point,
            int8=settings.int8,
            providers=chain,
            filtering=settings.filtering,
            audit_share=settings.audit_share,
        )

    return _started(settings, start)


def _pilot(bundle: Bundle, settings: AgentSettings, split: Local | Sender, link: Link | None, standby: Standby | None) -> Pilot:
    """All ways that the bundle allows, and who chooses among them."""
    if settings.deadline_s is None:
        raise ConfigError("the placement auto chooses by what will be in time; give --deadline, for example 200ms")
    assert link is not None
    assert isinstance(split, Split)
    pictures = [text.strip() for text in settings.picture.split(",") if text.strip()]
    offloads = [parse_offload(text) for text in pictures]
    found = menu.offered(bundle, pictures, local=None if standby is None else standby.network.setting)
    senders: list[Sender] = [*split.at_every_point(), *(offloads if bundle.has("whole.onnx") else [])]
    return Pilot(found, senders, link=link, standby=standby, deadline_s=settings.deadline_s)


def _own_network(bundle: Bundle, settings: AgentSettings) -> Local | None:
    """What the device answers with when no server does; None where there is no such network, or nothing but it."""
    if settings.placement == "local" or not settings.standby or not bundle.has(golden.LOCAL):
        return None

    def start(chain: Sequence[Provider]) -> Local:
        network = Local(bundle, threads=settings.threads, providers=chain)
        check_network(bundle, network)
        return network

    return _started(settings, start)


def _started(settings: AgentSettings, start: Callable[[Sequence[Provider]], Network]) -> Network:
    """A network on the first provider that it starts on."""
    *others, last = provider.candidates(settings.provider)
    for name in others:
        try:
            return start(provider.chain(name))
        except (BundleError, DeviceError) as error:
            _log.warning("provider does not start", provider=name, reason=str(error))
    return start(provider.chain(last))


def _wait_connected(link: Link, settings: AgentSettings, *, can_do_without: bool) -> None:
    try:
        link.wait_connected(min(FIRST_LINK_S, settings.connect_wait_s) if can_do_without else settings.connect_wait_s)
    except TailUnavailable as error:
        if not can_do_without:
            raise
        _log.warning("no server yet", reason=str(error))


def _audit(bundle: Bundle, settings: AgentSettings) -> FilterAudit | None:
    """What judges the neural filter; None where none runs, or its misses cannot be told."""
    record = bundle.manifest.filter
    if settings.placement not in ("split", "auto") or not settings.filtering or not settings.audit_share:
        return None
    return FilterAudit(record, settings.audit_share) if record is not None and record.presence is not None else None
