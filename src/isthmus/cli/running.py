"""`isthmus run`: the device agent."""

import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption, TrustOption, open_trusted
from isthmus.cli.quantity import seconds, size_in_bytes
from isthmus.cli.results import print_json
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.contract.bundle import Bundle
    from isthmus.head.evidence import EvidenceRing
    from isthmus.head.ledger import Summary
    from isthmus.head.link import Link
    from isthmus.head.placement import Local, Sender

TERMINATED = 143


def run(
    bundle: BundleArgument,
    source: Annotated[
        str,
        typer.Option(
            help="Folder, picture, video, camera:0, /dev/video0, rtsp://..., http://... (MJPEG), cmd:'PROGRAM ...', gst:PIPELINE "
            "or belt:FILE.npz."
        ),
    ],
    tail: Annotated[list[str] | None, typer.Option(help="HOST:PORT of the edge server; repeat for several equal ones.")] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="jsonl:PATH (jsonl:- is standard output), video:OUT.mp4, images:FOLDER, mqtt://HOST/TOPIC; repeatable."
        ),
    ] = None,
    placement: Annotated[Literal["split", "offload", "local"], typer.Option(help="Where frames are answered.")] = "split",
    point: Annotated[int, typer.Option(min=0, help="Operating point of the split.")] = 0,
    picture: Annotated[str, typer.Option(help="What offload sends: jpeg or webp and a quality, as jpeg-75.")] = "jpeg-75",
    deadline: Annotated[str | None, typer.Option(help="An answer later than this is dropped, for example 100ms.")] = None,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Drop frames in which nothing moves.")] = True,
    fps: Annotated[
        float | None, typer.Option(help="Release frames of a file at this pace, as a camera would; a camera is asked for it.")
    ] = None,
    frame_format: Annotated[
        str,
        typer.Option(help="What cmd: writes: mjpeg, bgr24, rgb24, gray, yuv420, nv12 or yuyv422; raw formats need --frame-size."),
    ] = "mjpeg",
    frame_size: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT of the raw frames of cmd:, or what a camera is asked for.")
    ] = None,
    drop_policy: Annotated[
        Literal["drop-oldest", "drop-latest", "wait"] | None,
        typer.Option(help="Frames that come too fast; default wait for files, drop-oldest for live sources and with --fps."),
    ] = None,
    device_id: Annotated[str, typer.Option(help="Name of this device; default the host's name.")] = "",
    wait: Annotated[str, typer.Option(help="How long to wait for the server at the start.")] = "10s",
    float_head: Annotated[bool, typer.Option("--float-head", help="Run the float head even where there is one in int8.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="onnxruntime threads.")] = 1,
    evidence: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Keep pictures of the newest frames, as 32MB, for operators who may fetch one."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="agent.toml; not built yet.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="CA of the server; not built yet.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Bearer token; not built yet.")] = None,
    trust: TrustOption = None,
    check: Annotated[bool, typer.Option("--check", help="Check bundle, source and server, then stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the device agent: frames in, answers out.

    One record a frame goes to every sink: the answer with its stages in milliseconds, or the reason why there is none.
    """
    from isthmus.devices.memory import resident_bytes
    from isthmus.head.agent import Agent
    from isthmus.head.evidence import EvidenceRing
    from isthmus.head.gate import MotionGate
    from isthmus.head.ledger import Ledger
    from isthmus.head.sink import Callback, Sink, open_sink
    from isthmus.head.source import open_source
    from isthmus.head.sources.form import Form, parse_size

    for given, option in ((config, "--config"), (tls_ca, "--tls-ca"), (token_file, "--token-file")):
        if given:
            raise guard.later(option, "leave it out; servers listen on loopback or with --insecure")
    if as_json and "jsonl:-" in (sink or []):
        raise UsageError("--json and --sink jsonl:- both write to standard output; leave one of them out")
    limit_s = None if deadline is None else seconds(deadline, "--deadline")
    wait_s = seconds(wait, "--wait")
    form = Form(pixels=frame_format, size=None if frame_size is None else parse_size(frame_size))
    name = device_id or socket.gethostname()
    started = time.monotonic()
    opened = open_trusted(bundle, trust)
    chosen = _placement(opened, placement, point, picture, threads, int8=not float_head)
    with ExitStack() as stack:
        frames = stack.enter_context(open_source(source, fps=fps, form=form))
        ring = None if evidence is None else stack.enter_context(EvidenceRing(size_in_bytes(evidence, "--evidence")))
        link = None if placement == "local" else stack.enter_context(_link(opened, tail, name, ring))
        sinks: list[Sink] = []
        for reference in sink or []:
            sinks.append(open_sink(reference, fps=frames.fps))
            stack.callback(sinks[-1].close)
        if link is not None:
            link.wait_connected(wait_s)
            if placement == "offload":
                link.check_pictures()
        if check:
            guard.out.print(
                f"{bundle}, {frames.description} and {', '.join(tail or ['the local network'])} are in order", highlight=False
            )
            return
        if guard.err.is_terminal:
            status = stack.enter_context(guard.err.status("waiting for the first frame"))
            sinks.append(Callback(lambda _record: status.update(_counts(ledger.summary))))
        ledger = Ledger(
            opened.manifest,
            device_id=name,
            deadline_s=limit_s,
            sinks=sinks,
            session=(lambda: link.session) if link is not None else bytes,
        )
        agent = Agent(
            source=frames,
            placement=chosen,
            ledger=ledger,
            link=link,
            gate=MotionGate() if gate else None,
            evidence=ring,
            drop_policy=drop_policy or ("drop-oldest" if frames.live else "wait"),
        )
        stopped_by: list[int] = []

        def stop(number: int, _frame: object) -> None:
            stopped_by.append(number)
            agent.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, stop))
        ready_s = time.monotonic() - started
        summary = agent.run()
        _report(summary, ready_s, resident_bytes(), as_json=as_json)
    if stopped_by:
        raise typer.Exit(TERMINATED if stopped_by[0] == signal.SIGTERM else guard.INTERRUPTED)


def _placement(bundle: "Bundle", name: str, point: int, picture: str, threads: int, *, int8: bool) -> "Local | Sender":
    from isthmus.head.placement import Local, Split, parse_offload

    if name == "local":
        return Local(bundle, threads=threads)
    if name == "offload":
        return parse_offload(picture)
    if point >= len(bundle.manifest.points):
        raise UsageError(f"--point {point}: the bundle has {len(bundle.manifest.points)} operating point(s), counted from 0")
    return Split(bundle, threads=threads, point=point, int8=int8)


def _link(bundle: "Bundle", addresses: list[str] | None, device_id: str, ring: "EvidenceRing | None") -> "Link":
    from isthmus.head.evidence import no_evidence
    from isthmus.head.link import Link

    if not addresses:
        raise UsageError("--tail HOST:PORT is missing; only --placement local works without a server")
    return Link(bundle, addresses, device_id=device_id, evidence=no_evidence if ring is None else ring.find)


def _report(summary: "Summary", ready_s: float, resident: int, *, as_json: bool) -> None:
    facts = {
        "frames": summary.frames,
        "answered": summary.answered,
        "dropped": dict(summary.dropped),
        "payload_bytes_mean": round(summary.payload_bytes / summary.answered, 1) if summary.answered else None,
        "ready_s": round(ready_s, 3),
        "first_answer_s": None if summary.first_answer_s is None else round(summary.first_answer_s, 3),
        "resident_bytes": resident,
    }
    if as_json:
        print_json({"command": "run"}, [facts])
        return
    print(_counts(summary), file=sys.stderr)


def _counts(summary: "Summary") -> str:
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(dict(summary.dropped).items())) or "none"
    sent = f", {size(summary.payload_bytes / summary.answered)} a frame" if summary.answered and summary.payload_bytes else ""
    return f"{summary.frames} frames: {summary.answered} answered{sent}; dropped: {dropped}"
