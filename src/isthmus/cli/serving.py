"""`isthmus serve`: the edge server."""

import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from isthmus.cli import guard
from isthmus.cli.bundles import TrustOption, open_trusted

TERMINATED = 143
READY = "ready"
"""First word of the line on standard output that says where the server listens; programs wait for it."""


def serve(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE|REPOSITORY", help="A .isthmus file or a bundle folder.")],
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback only with --insecure.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for devices; 0 takes a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for metrics and health; 0 takes a free one.")] = 8002,
    mode: Annotated[Literal["none", "poll", "explicit"], typer.Option(help="Of a repository; not built yet.")] = "none",
    instances: Annotated[int, typer.Option(min=1, help="Threads that compute, one onnxruntime session each.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="onnxruntime threads of each instance.")] = 1,
    tls_cert: Annotated[Path | None, typer.Option(help="Not built yet.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Not built yet.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Not built yet.")] = None,
    tokens: Annotated[Path | None, typer.Option(help="Not built yet.")] = None,
    trust: TrustOption = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond loopback without TLS.")] = False,
    engine: Annotated[Literal["native", "ray"], typer.Option(help="ray is not built yet.")] = "native",
) -> None:
    """Serve a bundle's tail to devices; SIGTERM answers what is in flight and stops."""
    from isthmus.tail.server import run
    from isthmus.tail.settings import ServerSettings

    options = {
        "--tls-cert": tls_cert,
        "--tls-key": tls_key,
        "--tls-client-ca": tls_client_ca,
        "--tokens": tokens,
    }
    for option, given in options.items():
        if given:
            raise guard.later(option, "serve on loopback, or behind a proxy with --insecure")
    if mode != "none" or engine != "native":
        raise guard.later("--mode poll and explicit" if mode != "none" else "--engine ray", "leave it out")
    if bundle.is_dir() and not (bundle / "manifest.json").exists():
        raise guard.later(f"serving the repository {bundle}", "give one bundle")
    opened = open_trusted(bundle, trust)
    settings = ServerSettings(
        host=host, grpc_port=grpc_port, metrics_port=metrics_port, instances=instances, threads=threads, insecure=insecure
    )

    def ready(grpc: int, metrics: int | None) -> None:
        typer.echo(f"{READY} bundle={opened.manifest.id} grpc={host}:{grpc} metrics={f'{host}:{metrics}' if metrics else 'off'}")

    number = run(settings, opened, on_ready=ready)
    if number:
        raise typer.Exit(TERMINATED if number == signal.SIGTERM else guard.INTERRUPTED)
