"""Rules of the house that no single module can keep."""

import ast
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from isthmus.codec.payload import Mode
from isthmus.contract.generated import split_pb2

PROTO = (resources.files("isthmus.contract") / "split.proto").read_text(encoding="utf-8")
ROOT = Path(__file__).resolve().parents[1]
UNPICKLERS = ("pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal")
SAFE_CALLS = {
    "np.load": ("allow_pickle", "False"),
    "numpy.load": ("allow_pickle", "False"),
    "np.lib.format.read_array": ("allow_pickle", "False"),
    "torch.load": ("weights_only", "True"),
}
"""What reads pickles, and calls that do so unless they are told not to."""
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(found.name)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("torch", "onnx", "onnx_ir", "onnxscript", "matplotlib")))
"""


@pytest.mark.parametrize("part", ["isthmus.head", "isthmus.tail", "isthmus.devices", "isthmus.codec", "isthmus.contract"])
def test_importing_every_module_of_a_part_that_runs_on_a_device_brings_no_exporter(part: str) -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORT_ALL, part], capture_output=True, text=True, check=False, timeout=120)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


def unpickling(code: str) -> list[str]:
    """Imports and calls in Python code that may run what somebody wrote into a file."""
    found = []
    for node in ast.walk(ast.parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [name for name in names if name.split(".")[0] in UNPICKLERS]
        if isinstance(node, ast.Call) and (wanted := SAFE_CALLS.get(ast.unparse(node.func))):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            found += [] if wanted in given.items() else [ast.unparse(node)]
    return found


@pytest.mark.parametrize("folder", ["src/isthmus", "head", "tail", "export", "devices", "benchmarks", "examples"])
def test_nothing_is_unpickled(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert {str(path): found for path in files if (found := unpickling(path.read_text(encoding="utf-8")))} == {}


def test_the_pickle_check_can_fail() -> None:
    code = "import pickle\nfrom joblib import load\nnumpy.load(path)\nnp.load(path, allow_pickle=True)\ntorch.load(path)"
    assert len(unpickling(code)) == 5
    assert unpickling("np.load(path, allow_pickle=False); torch.load(path, weights_only=True)") == []


def test_the_torch_check_can_fail() -> None:
    code = IMPORT_ALL.replace("package =", "sys.modules['torch'] = sys\npackage =", 1)
    ran = subprocess.run(
        [sys.executable, "-c", code, "isthmus.contract"], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.stdout.strip() == "['torch']"


def test_generated_code_has_every_message_of_the_proto() -> None:
    written = set(re.findall(r"^message (\w+)", PROTO, re.MULTILINE))
    assert written == set(split_pb2.DESCRIPTOR.message_types_by_name)


def test_generated_code_has_every_field_number_of_the_proto() -> None:
    for name, body in re.findall(r"^message (\w+) \{(\}|.*?^\})", PROTO, re.MULTILINE | re.DOTALL):
        written = {field: int(number) for field, number in re.findall(r"(\w+) = (\d+);", body)}
        generated = {field.name: field.number for field in split_pb2.DESCRIPTOR.message_types_by_name[name].fields}
        assert generated == written, name


def test_generated_code_has_every_method_of_the_proto() -> None:
    written = set(re.findall(r"^  rpc (\w+)", PROTO, re.MULTILINE))
    assert written == set(split_pb2.DESCRIPTOR.services_by_name["Tail"].methods_by_name)


def test_payload_modes_have_the_numbers_of_the_wire() -> None:
    wire = {name.removeprefix("MODE_"): number for name, number in split_pb2.Mode.items() if number}
    assert wire == {mode.name: int(mode) for mode in Mode}
