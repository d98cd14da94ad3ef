"""`isthmus run`: the device agent."""

import os
import signal
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
import typer

import isthmus
from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.bundles import JsonOption, TrustOption
from isthmus.cli.connection import InsecureOption, TlsCaOption, TlsCertOption, TlsKeyOption, TokenFileOption
from isthmus.cli.results import print_json
from isthmus.cli.update_options import (
    AnswersOption,
    DowngradeOption,
    EveryOption,
    FolderOption,
    HoursOption,
    PaceOption,
    PatienceOption,
    SourceOption,
)
from isthmus.errors import DeviceError, IsthmusError, UsageError

if TYPE_CHECKING:
    from isthmus.cli.agent_file import AgentFile
    from isthmus.contract.bundle import Bundle
    from isthmus.head.agent import Agent
    from isthmus.head.figures import Figures
    from isthmus.head.ledger import Summary
    from isthmus.head.settings import AgentSettings
    from isthmus.head.status import StatusPage
    from isthmus.head.update.updater import Updater

_DEVICE, _DISK = "Device", "Pictures kept on the device"
TERMINATED = 143


def run(
    context: typer.Context,
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="A .isthmus file or a bundle folder.")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Folder, picture, video, camera:0, /dev/video0, rtsp://..., http://... (MJPEG), cmd:'PROGRAM ...', gst:PIPELINE "
            "or belt:FILE.npz."
        ),
    ] = None,
    tail: Annotated[list[str] | None, typer.Option(help="HOST:PORT of the edge server; repeat for several equal ones.")] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            help="jsonl:PATH (jsonl:- is standard output), video:OUT.mp4, images:FOLDER, mqtt://HOST/TOPIC; repeatable."
        ),
    ] = None,
    placement: Annotated[
        Literal["split", "offload", "local", "auto"],
        typer.Option(help="Where frames are answered; auto chooses for each, by what will be in time for --deadline."),
    ] = "split",
    point: Annotated[int, typer.Option(min=0, help="Operating point of the split.")] = 0,
    picture: Annotated[
        str, typer.Option(help="What offload sends: jpeg or webp and a quality; for auto several, with commas.")
    ] = "jpeg-75",
    deadline: Annotated[str | None, typer.Option(help="An answer later than this is dropped, for example 100ms.")] = None,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Drop frames in which nothing moves.")] = True,
    filter: Annotated[
        bool, typer.Option("--filter/--no-filter", help="Drop frames in whose codes the bundle's neural filter sees nothing.")
    ] = True,
    audit: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of these that is sent all the same, to see what the filter misses.")
    ] = 1.0,
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
    standby: Annotated[
        bool,
        typer.Option(
            "--standby/--no-standby", help="Let the device answer, by local.onnx, what the server does not answer in time."
        ),
    ] = True,
    device_id: Annotated[str, typer.Option(rich_help_panel=_DEVICE, help="Name of this device; default the host's name.")] = "",
    wait: Annotated[str, typer.Option(help="How long to wait for the server at the start.")] = "10s",
    float_head: Annotated[
        bool, typer.Option("--float-head", rich_help_panel=_DEVICE, help="Run the float head even where there is one in int8.")
    ] = False,
    threads: Annotated[int, typer.Option(rich_help_panel=_DEVICE, min=1, help="onnxruntime threads.")] = 1,
    provider: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"],
        typer.Option(rich_help_panel=_DEVICE, help="Execution provider; auto: CUDA where it starts, else the CPU."),
    ] = "auto",
    cores: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DEVICE, help="Cores to keep to, as 2,3 or 4-7; default the fast ones where there are two kinds."
        ),
    ] = None,
    hot: Annotated[
        float, typer.Option(rich_help_panel=_DEVICE, help="A live source gives fewer frames from so many degrees Celsius on.")
    ] = 78.0,
    battery_low: Annotated[
        float, typer.Option(rich_help_panel=_DEVICE, help="A live source gives fewer frames below so many percent of charge.")
    ] = 20.0,
    evidence: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_DISK,
            metavar="SIZE",
            help="Keep pictures of the newest frames, as 32MB, for operators who may fetch one.",
        ),
    ] = None,
    deliver: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_DISK,
            metavar="FOLDER",
            help="Deliver every frame that is taken: its picture waits here until the server has answered it.",
        ),
    ] = None,
    deliver_size: Annotated[str, typer.Option(rich_help_panel=_DISK, metavar="SIZE", help="Room for those pictures.")] = "256MB",
    deliver_age: Annotated[
        str | None, typer.Option(rich_help_panel=_DISK, help="Older pictures are not delivered any more, for example 24h.")
    ] = None,
    deliver_drop: Annotated[
        Literal["oldest", "newest"],
        typer.Option(rich_help_panel=_DISK, help="When the room is used up, which pictures give way."),
    ] = "oldest",
    config: Annotated[
        Path | None, typer.Option(help="agent.toml, which `isthmus device init` writes; environment and flags count over it.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=_DEVICE, min=0, max=65535, help="Port of the status page and of /metrics; 0 takes a free one."
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(rich_help_panel=_DEVICE, help="Address of the status page; 0.0.0.0 shows it to the network.")
    ] = "127.0.0.1",
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    token_file: TokenFileOption = None,
    insecure: InsecureOption = False,
    trust: TrustOption = None,
    update_source: SourceOption = "",
    update_folder: FolderOption = Path("updates"),
    update_every: EveryOption = "1h",
    update_hours: HoursOption = None,
    update_rate: PaceOption = "1MB/s",
    update_downgrade: DowngradeOption = False,
    update_answers: AnswersOption = 10,
    update_patience: PatienceOption = "60s",
    log_format: guard.LogFormat = None,
    check: Annotated[bool, typer.Option("--check", help="Check bundle, source and server, then stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the device agent: frames in, answers out.

    One record a frame goes to every sink: the answer with its stages in milliseconds, or the reason why there is none. Every
    option but --config, --check and --json may stand in the file of --config or in the environment (ISTHMUS_SOURCE, ...).
    """
    from isthmus.cli.agent_file import given_flags, read_agent_file

    # The options above say what there is; which of them were given only the context knows.
    asked = read_agent_file(config, given_flags(context, but={"config", "check", "as_json"}))
    guard.log_as(asked.log_format)
    if as_json and "jsonl:-" in asked.sink:
        raise UsageError("--json and --sink jsonl:- both write to standard output; leave one of them out")
    _run(asked, check=check, as_json=as_json)


def _run(asked: "AgentFile", *, check: bool, as_json: bool) -> None:
    from isthmus.devices.memory import resident_bytes
    from isthmus.devices.systemd import Notifier, Watchdog
    from isthmus.head.figures import Figures
    from isthmus.head.sink import Callback, Sink
    from isthmus.head.update.opening import open_updating

    started = time.monotonic()
    settings = asked.for_agent()
    if asked.bundle is None:
        raise UsageError("no bundle is named: give BUNDLE, or `bundle` in the file of --config")
    if settings.placement != "local" and not settings.tails:
        raise UsageError("no server is named: give --tail HOST:PORT; only --placement local works without one")
    _keep_to_cores(asked.cores)
    figures, notifier = Figures(), Notifier()
    sinks: list[Sink] = [figures]
    with ExitStack() as stack:
        if guard.err.is_terminal and not check:
            shown = stack.enter_context(guard.err.status("waiting for the first frame"))
            sinks.append(Callback(lambda _record: shown.update(_counts(agent.summary))))
        updates = asked.for_updates()
        fits = partial(_check_point, settings)
        opened = open_updating(asked.bundle, settings, updates, sinks, needs_server=check, counts=not check, check=fits)
        agent, bundle, updater = stack.enter_context(opened)
        if check:
            servers = ", ".join(settings.tails) or "the local network"
            guard.out.print(f"{asked.bundle}, {agent.facts()['source']} and {servers} are in order", highlight=False)
            return
        if asked.metrics_port is not None:
            stack.enter_context(_status_page(asked, agent, figures, bundle.manifest.id, settings.device_id, updater))
        stopped_by: list[int] = []

        def stop(number: int, _frame: object) -> None:
            stopped_by.append(number)
            agent.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, number, signal.signal(number, stop))
        stack.enter_context(Watchdog(notifier, lambda: agent.lives))
        ready_s = time.monotonic() - started
        notifier.ready()
        notifier.status(f"answers {agent.facts()['source']}")
        stack.callback(notifier.stopping)
        summary = _answer(agent, updater)
        _report(summary, ready_s, resident_bytes(), as_json=as_json)
    if stopped_by:
        raise typer.Exit(TERMINATED if stopped_by[0] == signal.SIGTERM else guard.INTERRUPTED)


def _check_point(settings: "AgentSettings", bundle: "Bundle") -> None:
    if settings.placement == "split" and settings.point >= len(bundle.manifest.points):
        raise UsageError(
            f"--point {settings.point}: the bundle has {len(bundle.manifest.points)} operating point(s), counted from 0"
        )


def _answer(agent: "Agent", updater: "Updater | None") -> "Summary":
    """Run the agent, and update it meanwhile."""
    if updater is None:
        return agent.run()
    try:
        with updater:
            return agent.run()
    except IsthmusError as error:
        if not updater.gave_up:
            raise
        # Services are not started again after errors of the bundle; this one is not there any more.
        raise DeviceError(f"{error}; that bundle was given up, start the agent again") from error


def _keep_to_cores(asked: str | None) -> None:
    """Pin this process, before anything starts a thread."""
    from isthmus.devices import cores

    fast = cores.fast_cores() if asked is None else cores.parse_cores(asked)
    if asked is not None or 0 < len(fast) < len(os.sched_getaffinity(0)):
        kept = sorted(cores.pin(fast))
        structlog.get_logger().info("kept to cores", cores=kept)


def _status_page(
    asked: "AgentFile", agent: "Agent", figures: "Figures", bundle_id: str, device_id: str, updater: "Updater | None"
) -> "StatusPage":
    from isthmus.devices.memory import resident_bytes
    from isthmus.head.status import StatusPage

    assert asked.metrics_port is not None
    page = StatusPage(
        figures,
        facts=lambda: {**agent.facts(), **(updater.facts() if updater else {}), "resident_bytes": resident_bytes()},
        more=updater.as_prometheus if updater else str,
        labels={"device": device_id, "bundle": bundle_id, "version": isthmus.__version__},
        lives=lambda: agent.lives,
        host=asked.metrics_host,
        port=asked.metrics_port,
    )
    structlog.get_logger().info("status page", address=f"http://{page.address}/")
    return page


def _report(summary: "Summary", ready_s: float, resident: int, *, as_json: bool) -> None:
    facts = {
        "frames": summary.frames,
        "answered": summary.answered,
        "fallbacks": dict(summary.fallbacks),
        "delivered": summary.delivered,
        "lost": summary.lost,
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
    alone = f", {sum(summary.fallbacks.values())} by the device alone" if summary.fallbacks else ""
    later = f"; delivered later: {summary.delivered}, lost: {summary.lost}" if summary.delivered or summary.lost else ""
    return f"{summary.frames} frames: {summary.answered} answered{sent}{alone}; dropped: {dropped}{later}"
