import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def program(monkeypatch):
    """A function that imports a benchmark as the module it is when its folder comes first, or as one of the package."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def package(monkeypatch):
    """A function that imports a module of a benchmark that is a package, from the root of the checkout as `python -m` does."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module
