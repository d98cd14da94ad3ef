import re

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ExportError
from isthmus.export.targets.triton_config import config_text, quoted, read_interface

GOLDEN = """name: "tail"
backend: "onnxruntime"
max_batch_size: 16
input [
  {
    name: "codes"
    data_type: TYPE_INT8
    dims: [ 4, 8, 8 ]
  }
]
output [
  {
    name: "boxes"
    data_type: TYPE_FP32
    dims: [ -1, 4 ]
  }
]
output [
  {
    name: "score"
    data_type: TYPE_FP16
    dims: [ 1 ]
    reshape { shape: [ ] }
    label_filename: "labels.txt"
  }
]
instance_group [
  {
    count: 2
    kind: KIND_AUTO
  }
]
dynamic_batching { }
parameters {
  key: "isthmus.points"
  value { string_value: "{\\"all\\":[4]}" }
}
"""
"""Parsed once with `google.protobuf.text_format` into Triton's own `ModelConfig`."""


@pytest.fixture
def interface_of(tmp_path):
    """The interface of a network with these inputs and outputs; what is between does not matter."""

    def make(takes, gives):
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> n ({takes}) => ({gives}) {{ }}')
        onnx.save(model, tmp_path / "n.onnx")
        return read_interface(tmp_path / "n.onnx")

    return make


def test_the_text_is_what_triton_documents(interface_of):
    interface = interface_of("int8[batch, 4, 8, 8] codes", "float[batch, found, 4] boxes, float16[batch] score")
    text = config_text(
        "tail",
        interface,
        max_batch=16,
        instances=2,
        label_files={"score": "labels.txt"},
        parameters={"isthmus.points": '{"all":[4]}'},
    )
    assert text == GOLDEN


@pytest.mark.parametrize(
    ("takes", "gives"),
    [
        ("int8[1, 4] codes", "float[1, 5] y"),
        ("int8[batch, 4] codes", "float[1, 5] y"),
        ("int8[batch, 4] codes", "float[found, 5] y"),
        ("int8[batch, 4] codes, int64 size", "float[batch, 5] y"),
        ("int8[?, 4] codes", "float[?, 5] y"),
    ],
)
def test_nothing_is_joined_where_not_everything_begins_with_the_batch(interface_of, takes, gives):
    interface = interface_of(takes, gives)
    text = config_text("n", interface, max_batch=16, instances=1, label_files={}, parameters={})
    assert not interface.has_batch
    assert "max_batch_size: 0\n" in text
    assert "dynamic_batching" not in text
    assert len(interface.inputs[0].dims) == 2


def test_a_free_batch_of_one_request_is_declared_and_not_joined(interface_of):
    text = config_text(
        "n", interface_of("int8[batch, 4] codes", "float[batch, 5] y"), max_batch=1, instances=1, label_files={}, parameters={}
    )
    assert "max_batch_size: 1\n" in text
    assert "dynamic_batching" not in text


def test_a_type_that_triton_has_no_word_for_is_refused(interface_of):
    with pytest.raises(ExportError, match="'codes' is COMPLEX64"):
        interface_of("complex64[batch, 4] codes", "float[batch, 5] y")


def test_what_is_no_network_is_refused(tmp_path):
    (tmp_path / "n.onnx").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="is not an ONNX file"):
        read_interface(tmp_path / "n.onnx")


@given(st.text(st.characters(codec="utf-8")))
def test_a_quoted_string_reads_back(text):
    inside = quoted(text)[1:-1]
    assert "\n" not in inside
    assert re.sub(r"\\(\d{3}|.)", lambda found: chr(int(found[1], 8)) if len(found[1]) == 3 else found[1], inside) == text
