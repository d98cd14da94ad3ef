"""Opens an agent: source, placement, link and sinks by their settings, and closes them again."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import structlog

from isthmus.contract.bundle import Bundle
from isthmus.devices import provider
from isthmus.devices.tracing import open_tracing
from isthmus.errors import BundleError, ConfigError, DeviceError
from isthmus.head.agent import Agent
from isthmus.head.evidence import EvidenceRing, no_evidence
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.placement import Local, Sender, Split, parse_offload
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Sink, open_sink
from isthmus.head.source import open_source
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces

_log = structlog.get_logger()


@contextmanager
def open_agent(bundle: Bundle, settings: AgentSettings, sinks: Sequence[Sink] = ()) -> Iterator[Agent]:
    """Open all that an agent needs, and wait until a server has taken its stream.

    Args:
        bundle: what runs.
        settings: how.
        sinks: further ones beside those of the settings; closing them is the caller's.

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
    if placement.providers:
        _log.info("network ready", placement=placement.name, setting=placement.setting, providers=placement.providers)
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
            link.wait_connected(settings.connect_wait_s)
            if not isinstance(placement, Local) and placement.sends_pictures:
                link.check_pictures()
        ledger = Ledger(
            bundle.manifest,
            device_id=settings.device_id,
            deadline_s=settings.deadline_s,
            sinks=[*opened, *sinks],
            session=(lambda: link.session) if link is not None else bytes,
        )
        # Of a file every picture counts, however long it takes.
        thrift = stack.enter_context(Thrift(settings.thrift)) if source.live else None
        yield Agent(
            source=source,
            placement=placement,
            ledger=ledger,
            link=link,
            gate=MotionGate() if settings.gate else None,
            evidence=ring,
            thrift=thrift,
            traces=traces,
            drop_policy=settings.drop_policy or ("drop-oldest" if source.live else "wait"),
        )


def _placement(bundle: Bundle, settings: AgentSettings) -> Local | Sender:
    if settings.placement == "offload":
        return parse_offload(settings.picture)
    *others, last = provider.candidates(settings.provider)
    for name in others:
        try:
            return _network(bundle, settings, name)
        except (BundleError, DeviceError) as error:
            _log.warning("provider does not start", provider=name, reason=str(error))
    return _network(bundle, settings, last)


def _network(bundle: Bundle, settings: AgentSettings, name: str) -> Local | Split:
    chain = provider.chain(name)
    if settings.placement == "local":
        return Local(bundle, threads=settings.threads, providers=chain)
    return Split(bundle, threads=settings.threads, point=settings.point, int8=settings.int8, providers=chain)


def _link(bundle: Bundle, settings: AgentSettings, ring: EvidenceRing | None) -> Link:
    if not settings.tails:
        raise ConfigError("no server is named: give --tail HOST:PORT; only the placement local works without one")
    evidence = no_evidence if ring is None else ring.find
    return Link(bundle, settings.tails, device_id=settings.device_id, credentials=settings.credentials, evidence=evidence)
