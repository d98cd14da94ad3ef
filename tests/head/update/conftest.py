"""Bundles in several versions, a store, and sources that are real."""

import contextlib
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.sealing import sign_bundle
from isthmus.head.update.download import DownloadSettings
from isthmus.head.update.precedence import Edition
from isthmus.head.update.rehearsal import Part
from isthmus.head.update.staging import Running, Staging
from isthmus.head.update.store import UpdateStore


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def make_release(make_tiny_bundle, make_key, tmp_path_factory) -> Callable[..., Path]:
    """A function that writes an archive of the bundle `tiny`.

    Arguments: `version`, `key` (number of the key that signs; 0: none), `seed` (of the weights, by default the version),
    `golden_offset` of the first golden input's codes (any number but 0 makes the golden check fail), `name` (the id).
    """
    made: dict[tuple, Path] = {}

    def make(version="2", *, key=1, seed=None, spoiled=False, name="tiny", created="") -> Path:
        asked = (version, key, seed, spoiled, name, created)
        if asked not in made:
            bundle = make_tiny_bundle(name, seed=int(version) if seed is None else seed)
            files = {file: bundle.path(file) for file in bundle.manifest.files}
            if spoiled:
                # Sound by its digests, and yet its head gives other codes than the golden ones.
                files["head.onnx"] = make_tiny_bundle(name, seed=77).path("head.onnx")
            path = tmp_path_factory.mktemp("release") / f"tiny-{version}.isthmus"
            write_bundle(path, bundle.manifest.model_copy(update={"version": version, "created": created}), files)
            if key:
                sign_bundle(path, make_key(key))
            made[asked] = path
        return made[asked]

    return make


@pytest.fixture
def trust(tmp_path, make_key) -> Path:
    """A file with the public key 1."""
    from isthmus.contract import trust as trusted

    folder = tmp_path / "trusted"
    trusted.add(folder, make_key(1).public)
    return folder


@pytest.fixture
def store(tmp_path) -> UpdateStore:
    """An empty store."""
    return UpdateStore(tmp_path / "updates").prepare()


@pytest.fixture
def running() -> Running:
    """Version 1 runs."""
    return Running(edition=Edition(id="tiny", version="1", created=""), manifest_sha256="")


@pytest.fixture
def staging(store, trust) -> Callable[..., Staging]:
    """A function that makes a staging with the real rehearsal, or another one; without a pace."""

    def make(**options) -> Staging:
        part = Part(trust=str(trust))
        options = {"wait": lambda _seconds: False, **options}
        return Staging(store, options.pop("part", part), DownloadSettings(bytes_per_s=None), **options)

    return make


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def digest_of() -> Callable[[Path], str]:
    """The SHA-256 of a file."""
    return sha256


class Web(ThreadingHTTPServer):
    """Plain files with ranges; `break_after` ends the next answers after so many bytes."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.break_after: int | None = None
        self.tagged = True
        self.seen: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        self.server.seen.append((self.command, self.headers.get("Range")))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/b.isthmus")
            self.end_headers()
            return
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        tag, start = f'"{sha256(path)[:16]}"', 0
        if self.headers.get("Range") and self.headers.get("If-Range") == tag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        if self.server.tagged:
            self.send_header("ETag", tag)
        self.end_headers()
        if body:
            end = len(data) if self.server.break_after is None else start + self.server.break_after
            with contextlib.suppress(OSError):
                self.wfile.write(data[start:end])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path) -> Iterator[Web]:
    """A web server of a folder; `put` copies a file there as `b.isthmus`."""
    (tmp_path / "web").mkdir()
    server = Web(tmp_path / "web")
    server.put = lambda path: shutil.copy(path, server.folder / "b.isthmus")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
