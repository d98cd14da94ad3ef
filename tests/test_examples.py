"""Example programs and the code in docs/library.md run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from isthmus.bench import programs
from isthmus.export.doors import tracing
from isthmus.export.language.exporter import export
from isthmus.export.language.settings import LanguageSettings

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/library.md"


def run_example(name: str, *arguments: Path | str) -> list[str]:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_example_that_splits_gives_halves_that_equal_torch(tmp_path):
    lines = run_example("split_a_model.py", tmp_path / "halves")
    assert {path.name for path in (tmp_path / "halves").iterdir()} == {"head.onnx", "tail.onnx"}
    assert float(lines[-1].rpartition(" ")[2]) < 1e-6


def test_the_example_that_exports_writes_a_bundle_that_is_sound(tmp_path):
    lines = run_example("export_a_bundle.py", tmp_path / "b.isthmus")
    assert (tmp_path / "b.isthmus").is_file()
    assert lines[-1].startswith(f"{tmp_path / 'b.isthmus'} is sound")


@pytest.mark.skipif("ISTHMUS_DATA" not in os.environ, reason="ISTHMUS_DATA names no folder with the checkpoint")
def test_a_checkpoint_of_llama2c_becomes_a_folder_that_is_cut(tmp_path):
    data = Path(os.environ["ISTHMUS_DATA"])
    source = data / "lm_stories260k"
    run_example("convert_llama2c.py", source / "stories260K.bin", source / "tok512.bin", tmp_path / "folder")
    settings = LanguageSettings(cut="2", data=data / "text/tinystories_sample.txt", tail_weights="int8", head_weights="int8")
    manifest = export(tmp_path / "folder", tmp_path / "bundle", settings).manifest
    assert sum(part.parameters for part in manifest.split) == 260032 + 512 * 64
    assert manifest.fidelity[0].perplexity_float32 < 10
    assert manifest.fidelity[0].agreement > 0.95


def test_a_model_that_is_trained_from_scratch_is_cut(tmp_path):
    (tmp_path / "text.txt").write_text("the head is on the device, the tail on the server, and only hidden states cross. " * 400)
    lines = run_example("train_a_language_model.py", tmp_path / "text.txt", "-o", tmp_path / "folder", "--minutes", "0.01")
    assert "bits a byte on the held-out text" in lines[-1]
    assert (tmp_path / "folder/model.safetensors").stat().st_size < 5_000_000
    assert len((tmp_path / "folder/written.txt").read_text()) > 1_000
    assert (tmp_path / "text.txt").read_text().endswith((tmp_path / "folder/held_out.txt").read_text())
    bundle = export(tmp_path / "folder", tmp_path / "bundle", LanguageSettings(cut="2"))
    assert bundle.manifest.eos == (0,)


def test_every_example_is_run_by_a_test():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py"))
    assert [path.name for path in (ROOT / "examples").glob("*.py") if f'{path.name}"' not in tests] == []


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files that the page's code reads."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, 2, 1), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)).eval()
    ir.save(tracing.to_onnx(network, (torch.rand(2, 3, 32, 32),)).model, tmp_path / "teacher.onnx")
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", images=images)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_code_of_the_page_runs_from_top_to_bottom(workplace, pictures, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert any("camera:0" in block for block in blocks)
    names: dict[str, object] = {}
    for block in (block for block in blocks if "camera:0" not in block):
        exec(compile(block, "library.md", "exec"), names)
    assert names["answer"][0].shape == (1, 5)
    with programs.server(workplace / "b.isthmus") as server:
        for block in (block for block in blocks if "camera:0" in block):
            here = block.replace("camera:0", str(pictures)).replace("192.0.2.7:8001", server.match["grpc"])
            exec(compile(here, "library.md", "exec"), names)
    assert "Record(" in capsys.readouterr().out
