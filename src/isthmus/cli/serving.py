"""`isthmus serve`: the edge server."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from isthmus.cli import guard
from isthmus.cli.admission import (
    BurstOption,
    BytesOption,
    CacheMemoryOption,
    ClientCacheMemoryOption,
    ClientStreamsOption,
    InFlightOption,
    LeaseOption,
    QueueMemoryOption,
    RateOption,
    SessionMemoryOption,
    StreamsOption,
    UpdateRateOption,
    UpdatesOption,
    client_limits,
    handout_limits,
)
from isthmus.cli.bundles import TrustOption
from isthmus.cli.quantity import seconds, size_in_bytes
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.tail.server import Source

_REPOSITORY, _COMPUTING, _SECURITY = "Repository", "Computing", "Security"
TERMINATED = 143
READY = "ready"
"""First word of the line on standard output that says where the server listens; programs wait for it."""


def serve(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE|REPOSITORY",
            help="A .isthmus file, a bundle folder, or a folder of <name>/<version>/ with a bundle in each.",
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only with TLS or --insecure.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for devices; 0 takes a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for metrics and health; 0 takes a free one.")] = 8002,
    mode: Annotated[
        Literal["none", "poll", "explicit"],
        typer.Option(
            rich_help_panel=_REPOSITORY,
            help="Of a repository: serve what is there at the start, what is there now, or what clients ask to load.",
        ),
    ] = "none",
    poll: Annotated[
        str, typer.Option(rich_help_panel=_REPOSITORY, help="How often --mode poll looks at the repository.")
    ] = "15s",
    load: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_REPOSITORY, metavar="NAME", help="Load this at the start, with --mode explicit; repeatable."
        ),
    ] = None,
    strict_readiness: Annotated[
        bool,
        typer.Option(
            "--strict-readiness/--no-strict-readiness",
            rich_help_panel=_REPOSITORY,
            help="Ready only while every bundle is served.",
        ),
    ] = True,
    provider: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"],
        typer.Option(
            rich_help_panel=_COMPUTING, help="What computes; auto is CUDA where onnxruntime has it and it starts, else the CPU."
        ),
    ] = "auto",
    pictures: Annotated[
        Literal["loaded", "lazy", "off"],
        typer.Option(
            rich_help_panel=_COMPUTING,
            help="For devices that offload, load whole.onnx at the start, with the first picture, or never.",
        ),
    ] = "loaded",
    workers: Annotated[
        int, typer.Option(rich_help_panel=_COMPUTING, min=1, max=64, help="Processes on the one port, each with its networks.")
    ] = 1,
    instances: Annotated[
        int, typer.Option(rich_help_panel=_COMPUTING, min=1, help="Threads that compute, one onnxruntime session each.")
    ] = 1,
    threads: Annotated[int, typer.Option(rich_help_panel=_COMPUTING, min=1, help="onnxruntime threads of each instance.")] = 1,
    queue_max: Annotated[int, typer.Option(rich_help_panel=_COMPUTING, min=1, help="Frames of one bundle that may wait.")] = 64,
    round_max: Annotated[
        int, typer.Option(rich_help_panel=_COMPUTING, min=1, help="Conversations whose tokens are computed in one run.")
    ] = 16,
    batch_max: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=_COMPUTING,
            min=1,
            help="Frames in one run of the tail; default up to 8 that take about 4 ms; 8 to 32 on GPUs.",
        ),
    ] = None,
    allow_nonfinite: Annotated[
        bool,
        typer.Option(
            "--allow-nonfinite",
            rich_help_panel=_COMPUTING,
            help="Take NaN and infinity in the inputs of Open Inference requests.",
        ),
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(rich_help_panel=_SECURITY, help="Certificate of this server, PEM; both ports speak TLS then.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(rich_help_panel=_SECURITY, help="Its private key; PEM, not encrypted.")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_SECURITY, help="Ask clients for a certificate by this authority; may hold revocation lists too."
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_SECURITY, help="Ask clients for a token of this file, made by isthmus tokens; hot-reloaded."
        ),
    ] = None,
    trust: TrustOption = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", rich_help_panel=_SECURITY, help="Listen beyond loopback without TLS.")
    ] = False,
    client_rate: RateOption = None,
    client_burst: BurstOption = None,
    client_bytes: BytesOption = None,
    client_streams: ClientStreamsOption = None,
    client_in_flight: InFlightOption = None,
    streams_max: StreamsOption = 256,
    queue_memory: QueueMemoryOption = "64MiB",
    session_memory: SessionMemoryOption = "256MiB",
    cache_memory: CacheMemoryOption = "2GiB",
    client_cache_memory: ClientCacheMemoryOption = None,
    lease: LeaseOption = "5m",
    updates_max: UpdatesOption = 4,
    update_rate: UpdateRateOption = "10MB/s",
    log_format: guard.LogFormat = None,
    engine: Annotated[
        Literal["native", "ray"], typer.Option(rich_help_panel=_COMPUTING, help="ray is not built yet.")
    ] = "native",
) -> None:
    """Serve a bundle's tail, or those of a repository, to devices; SIGTERM answers what is in flight and stops.

    A repository serves the newest version of every name; a serve.toml beside the versions of a bundle goes over the options here.
    """
    guard.log_as(log_format)
    from isthmus.tail.fronts import crew
    from isthmus.tail.security.settings import SecuritySettings
    from isthmus.tail.server import run
    from isthmus.tail.settings import ServerSettings

    if engine != "native":
        raise guard.later("--engine ray", "leave it out")
    source, what = _source(bundle, mode, seconds(poll, "--poll"), tuple(load or ()), trust)
    settings = ServerSettings(
        host=host,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        strict_readiness=strict_readiness,
        provider=provider,
        pictures=pictures,
        instances=instances,
        threads=threads,
        queue_max=queue_max,
        batch_max=batch_max,
        round_max=round_max,
        security=SecuritySettings(tls_cert=tls_cert, tls_key=tls_key, tls_client_ca=tls_client_ca, tokens=tokens),
        streams_max=streams_max,
        queue_bytes_max=size_in_bytes(queue_memory, "--queue-memory"),
        references_bytes_max=size_in_bytes(session_memory, "--session-memory"),
        cache_bytes_max=size_in_bytes(cache_memory, "--cache-memory"),
        client_cache_bytes_max=size_in_bytes(client_cache_memory, "--client-cache-memory") if client_cache_memory else None,
        lease_s=seconds(lease, "--lease"),
        client=client_limits(client_rate, client_burst, client_bytes, client_streams, client_in_flight),
        handout=handout_limits(updates_max, update_rate),
        refuse_nonfinite=not allow_nonfinite,
        insecure=insecure,
    )

    def ready(grpc: int, metrics: int | None) -> None:
        typer.echo(f"{READY} {what} grpc={host}:{grpc} metrics={f'{host}:{metrics}' if metrics else 'off'}")

    if workers == 1:
        number = run(settings, source, on_ready=ready)
    else:
        number = crew.run(settings, source, workers, set_up=guard.set_up_again(), on_ready=ready)
    if number:
        raise typer.Exit(TERMINATED if number == signal.SIGTERM else guard.INTERRUPTED)


def _source(
    path: Path, mode: Literal["none", "poll", "explicit"], poll_s: float, load: tuple[str, ...], trust: Path | None
) -> "tuple[Source, str]":
    """What to serve, and how the line of readiness calls it: a folder without a manifest is a repository."""
    from isthmus.contract.bundle import open_any
    from isthmus.contract.manifest import MANIFEST_NAME
    from isthmus.contract.trust import read_trusted
    from isthmus.tail.repository.folder import RepositoryFolder

    if load and mode != "explicit":
        raise UsageError(f"--load goes with --mode explicit; with --mode {mode} the repository decides what is loaded")
    if path.is_dir() and not (path / MANIFEST_NAME).exists():
        trusted = read_trusted(trust) if trust else None
        return RepositoryFolder(path=path, mode=mode, poll_s=poll_s, load=load, trusted=trusted), f"repository={path}"
    if mode != "none" and path.exists():
        raise UsageError(f"--mode {mode} is for repositories, {path} is one bundle; put it at REPOSITORY/<name>/<version>/")
    opened = open_any(path, trusted=read_trusted(trust) if trust else None)
    return opened, f"bundle={opened.manifest.id}"
