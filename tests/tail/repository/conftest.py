"""A repository on disk, and servers of it."""

import os
import shutil
from pathlib import Path

import pytest

from isthmus.contract.bundle_writing import write_bundle
from isthmus.tail.repository.folder import RepositoryFolder


class Shelves:
    """`<repository>/<name>/<version>/`, written as an operator would."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, bundle, name="cups", version="1") -> Path:
        """Copy a bundle aside and move it to its place."""
        place = self.root / name / version
        place.parent.mkdir(exist_ok=True)
        aside = self.root / ".arriving"
        shutil.copytree(bundle.folder, aside)
        if place.exists():
            shutil.rmtree(place)
        aside.rename(place)
        return place

    def pack(self, bundle, name="cups", version="1") -> Path:
        """Put a bundle there as a `.isthmus` file."""
        files = {file: bundle.path(file) for file in bundle.manifest.files}
        return write_bundle(self.root / name / version / "model.isthmus", bundle.manifest, files).origin

    def remove(self, name="cups", version="1") -> None:
        shutil.rmtree(self.root / name / version)

    def say(self, text, name="cups") -> None:
        """Write the settings of a name."""
        (self.root / name).mkdir(exist_ok=True)
        (self.root / name / "serve.toml").write_text(text)


@pytest.fixture
def shelves(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "repository").mkdir()
    return Shelves(tmp_path / "repository")


@pytest.fixture
def serve_shelves(serve, shelves):
    """A function that serves the repository; `folder` are fields of RepositoryFolder, the others settings of the server. With
    `poll` nobody looks but the test: the next look by itself is an hour away."""

    async def start(folder=None, **settings):
        source = RepositoryFolder(path=shelves.root, **{"poll_s": 3600.0, **(folder or {})})
        return await serve(bundle=source, **settings)

    return start


@pytest.fixture
def states():
    """A function that gives the index as text to state."""
    return lambda server: {f"{entry.name} {entry.version}": entry.state for entry in server.repository.index()}


@pytest.fixture
def reasons():
    """A function that gives the index as text to reason."""
    return lambda server: {f"{entry.name} {entry.version}": entry.reason for entry in server.repository.index()}


@pytest.fixture(scope="session")
def cups(make_tiny_bundle):
    """Three bundles of one name, each with a contract of its own."""
    return [make_tiny_bundle("cups", seed=seed) for seed in (11, 12, 13)]


@pytest.fixture
def age():
    """A function that makes a file look written in another second."""

    def make(path: Path) -> None:
        facts = path.stat()
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 10**9))

    return make
