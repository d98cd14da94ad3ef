"""What opening decides by itself; that an opened agent answers is in test_answers."""

import pytest
from structlog.testing import capture_logs

from isthmus.devices import provider
from isthmus.errors import DeviceError
from isthmus.head.opening import open_agent
from isthmus.head.settings import AgentSettings


def test_a_provider_that_does_not_start_gives_way_to_the_cpu(tiny_bundle, pictures, tmp_path, monkeypatch):
    # This machine has no CUDA: to onnxruntime the same as a CUDA that it lacks.
    monkeypatch.setattr(provider, "candidates", lambda _choice: ("cuda", "cpu"))
    (tmp_path / "a.png").touch()
    with capture_logs() as logs, open_agent(tiny_bundle, AgentSettings(source=str(tmp_path), placement="local")):
        pass
    assert [(entry["event"], entry.get("provider") or entry.get("providers")) for entry in logs] == [
        ("provider does not start", "cuda"),
        ("network ready", ("CPUExecutionProvider",)),
    ]


def test_a_provider_that_is_asked_for_and_missing_is_an_error(tiny_bundle, tmp_path):
    settings = AgentSettings(source=str(tmp_path), placement="local", provider="tensorrt")
    with pytest.raises(DeviceError, match="tensorrt is asked for"), open_agent(tiny_bundle, settings):
        pass
