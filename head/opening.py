"""Opens an agent: source, placement, link and sinks by their settings, and closes them again."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import structlog

from isthmus.contract.bundle import Bundle
from isthmus.devices import golden, provider
from isthmus.devices.runtime import Provider
from isthmus.devices.tracing import open_tracing
from isthmus.errors import BundleError, ConfigError, DeviceError, TailUnavailable
from isthmus.head.agent import Agent
from isthmus.head.audit import FilterAudit
from isthmus.head.control import menu
from isthmus.head.delivery import Delivery
from isthmus.head.evidence import EvidenceRing, no_evidence
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.pilot import Pilot
from isthmus.head.placement import Local, Sender, Split, parse_offload
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Sink, open_sink
from isthmus.head.source import open_source
from isthmus.head.standby import Standby, check_network
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces

FIRST_LINK_S = 0.5
"""How long a device that can do without a server waits for one at its start."""
SESSION_BYTES = 16
_log = structlog.get_logger()
Network = TypeVar("Network")


@contextmanager
def open_agent(
    bundle: Bundle, settings: AgentSettings, sinks: Sequence[Sink] = (), *, needs_server: bool = False
) -> Iterator[Agent]:
    """Open all that an agent needs, and wait until a server has taken its stream.

    A device that can answer by itself, or keep what must be delivered, begins without a server after `FIRST_LINK_S`.

    Args:
        bundle: what runs.
        settings: how.
        sinks: further ones beside those of the settings; closing them is the caller's.
        needs_server: wait for the server in any case.

    Yields:
        An agent that is ready to run.

    Raises:
        ConfigError: settings that the bundle or each other does not allow.
        SourceError: no frames can be had.
        TailUnavailable: no server answers.
        ContractMismatch: the server holds another bundle.
        DeviceError: onnxruntime lacks the provider, or a broker does not answer.
    """
    placement = _placement(bundle, settings)
    own = _own_network(bundle, settings)
    for network in (placement, own):
        if network is not None and network.providers:
            _log.info("network ready", placement=network.name, setting=network.setting, providers=network.providers)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(settings.source, fps=settings.fps, form=settings.form))
        ring = None if settings.evidence_bytes is None else stack.enter_context(EvidenceRing(settings.evidence_bytes))
        link = None if isinstance(placement, Local) else stack.enter_context(_link(bundle, settings, ring))
        opened: list[Sink] = []
        for reference in settings.sinks:
            opened.append(open_sink(reference, fps=source.fps))
            stack.callback(opened[-1].close)
        tracing = open_tracing("isthmus-head")
        traces = None if tracing is None else FrameTraces(tracing)
        if traces is not None:
            opened.append(traces)
            stack.callback(traces.close)
        if link is not None:
            can_do_without = own is not None or settings.delivery is not None
            _wait_connected(link, settings, can_do_without=can_do_without and not needs_server)
            if not isinstance(placement, Local) and placement.sends_pictures:
                link.check_pictures()
        # What is answered before the first stream needs a name of its own too.
        first_session = secrets.token_bytes(SESSION_BYTES) if own is not None or settings.delivery is not None else b""
        drop_policy = settings.drop_policy or ("drop-oldest" if source.live else "wait")
        audit = _audit(bundle, settings)
        if audit is not None:
            opened.append(audit)
        ledger = Ledger(
            bundle.manifest,
            device_id=settings.device_id,
            deadline_s=settings.deadline_s,
            sinks=[*opened, *sinks],
            session=(lambda: link.session or first_session) if link is not None else bytes,
        )
        delivery = None
        if link is not None and settings.delivery is not None:
            delivery = stack.enter_context(Delivery(settings.delivery, ledger))
        standby = None if own is None else stack.enter_context(Standby(own, ledger, waits=drop_policy == "wait"))
        # Of a file every picture counts, however long it takes.
        thrift = stack.enter_context(Thrift(settings.thrift)) if source.live else None
        yield Agent(
            source=source,
            placement=_pilot(bundle, settings, placement, link, standby) if settings.placement == "auto" else placement,
            ledger=ledger,
            link=link,
            standby=standby,
            delivery=delivery,
            gate=MotionGate() if settings.gate else None,
            evidence=ring,
            thrift=thrift,
            audit=audit,
            traces=traces,
            drop_policy=drop_policy,
        )


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
    if settings.placement != "split" or not settings.filtering or not settings.audit_share:
        return None
    return FilterAudit(record, settings.audit_share) if record is not None and record.presence is not None else None


def _link(bundle: Bundle, settings: AgentSettings, ring: EvidenceRing | None) -> Link:
    if not settings.tails:
        raise ConfigError("no server is named: give --tail HOST:PORT; only the placement local works without one")
    evidence = no_evidence if ring is None else ring.find
    return Link(bundle, settings.tails, device_id=settings.device_id, credentials=settings.credentials, evidence=evidence)
