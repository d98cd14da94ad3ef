"""Opens an agent: source, placement, link and sinks by their settings, and closes them again."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from isthmus.contract.bundle import Bundle
from isthmus.devices.tracing import open_tracing
from isthmus.head.agent import Agent
from isthmus.head.delivery import Delivery
from isthmus.head.evidence import EvidenceRing
from isthmus.head.fitting import Fitting, networks
from isthmus.head.gate import MotionGate
from isthmus.head.ledger import Ledger
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Sink, open_sink
from isthmus.head.source import open_source
from isthmus.head.thrift import Thrift
from isthmus.head.tracing import FrameTraces


@contextmanager
def open_agent(
    bundle: Bundle, settings: AgentSettings, sinks: Sequence[Sink] = (), *, needs_server: bool = False, patient: bool = False
) -> Iterator[Agent]:
    """Open all that an agent needs, and wait until a server has taken its stream.

    A device that can answer by itself, or keep what must be delivered, begins without a server after half a second.

    Args:
        bundle: what runs.
        settings: how.
        sinks: further ones beside those of the settings; closing them is the caller's.
        needs_server: wait for the server in any case.
        patient: see `Link`.

    Yields:
        An agent that is ready to run; its `fit` makes a rig of another bundle.

    Raises:
        ConfigError: settings that the bundle or each other does not allow.
        SourceError: no frames can be had.
        TailUnavailable: no server answers.
        ContractMismatch: the server holds another bundle.
        DeviceError: onnxruntime lacks the provider, or a broker does not answer.
    """
    started = networks(bundle, settings)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(settings.source, fps=settings.fps, form=settings.form))
        ring = None if settings.evidence_bytes is None else stack.enter_context(EvidenceRing(settings.evidence_bytes))
        opened: list[Sink] = []
        for reference in settings.sinks:
            opened.append(open_sink(reference, fps=source.fps))
            stack.callback(opened[-1].close)
        tracing = open_tracing("isthmus-head")
        traces = None if tracing is None else FrameTraces(tracing)
        if traces is not None:
            opened.append(traces)
            stack.callback(traces.close)
        drop_policy = settings.drop_policy or ("drop-oldest" if source.live else "wait")
        ledger = Ledger(bundle.manifest, device_id=settings.device_id, deadline_s=settings.deadline_s, sinks=[*opened, *sinks])
        fitting = Fitting(settings=settings, ledger=ledger, ring=ring, waits=drop_policy == "wait", patient=patient)
        rig = fitting.fit(bundle, started, needs_server=needs_server)
        stack.callback(rig.close)
        delivery = None
        if rig.link is not None and settings.delivery is not None:
            delivery = stack.enter_context(Delivery(settings.delivery, rig.ledger))
        # Of a file every picture counts, however long it takes.
        thrift = stack.enter_context(Thrift(settings.thrift)) if source.live else None
        agent = Agent(
            source=source,
            rig=rig,
            delivery=delivery,
            gate=MotionGate() if settings.gate else None,
            evidence=ring,
            thrift=thrift,
            traces=traces,
            drop_policy=drop_policy,
        )
        agent.fit = lambda other, seen: fitting.fit(other, networks(other, settings), sinks=seen, needs_server=True)
        yield agent
