import copy
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from isthmus.errors import ExportError, UsageError
from isthmus.export.cutting import cuts
from isthmus.export.doors import equality, opening
from isthmus.export.graph.flow import BATCH, batch_symbol
from isthmus.export.graph.session import Session, relative_difference

STATIC = "n (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) { y = Conv <pads = [1, 1, 1, 1]> (x, w1, b1) }"


@pytest.fixture
def saved(tmp_path, proto_of):
    """Write a text as an ONNX file and give its path."""

    def save(text, opset=17, change=None):
        proto = proto_of(text, opset)
        if change is not None:
            change(proto)
        onnx.save(proto, tmp_path / "model.onnx")
        return str(tmp_path / "model.onnx")

    return save


def test_a_factory_comes_in_with_its_module_and_inputs(residual_source):
    assert residual_source.name == "residual"
    assert not residual_source.torch_module.training
    assert residual_source.dynamic_batch
    assert residual_source.model.opset_imports[""] == 17
    assert [array.shape for array in residual_source.example_inputs] == [(2, 3, 16, 16)]


def test_a_factory_with_one_row_still_gets_a_free_batch(networks):
    source = opening.open_model("networks:residual_one_row")
    assert source.dynamic_batch
    assert batch_symbol(source.model.graph) == BATCH


def test_exporting_says_nothing(networks):
    program = "from isthmus.export.doors.opening import open_model; open_model('networks:residual')"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert (answer.stdout, answer.stderr) == ("", "")


def test_an_export_that_computes_something_else_is_refused(residual_source):
    other = copy.deepcopy(residual_source.torch_module)
    torch.nn.init.constant_(other.head.weight, 0.5)
    feeds = {residual_source.model.graph.inputs[0].name: residual_source.example_inputs[0]}
    equality.check_equal(residual_source.torch_module, residual_source.model, feeds)
    with pytest.raises(ExportError, match="differs from its torch module by"):
        equality.check_equal(other, residual_source.model, feeds)


@pytest.mark.parametrize(("name", "sizes"), [("mixing", [2, 2]), ("residual", [2, 3])])
def test_a_module_is_compared_on_two_inputs(networks, monkeypatch, name, sizes):
    compared = []
    real = equality.check_equal
    monkeypatch.setattr(equality, "check_equal", lambda *given: compared.append(*given[2].values()) or real(*given))
    opening.open_model(f"networks:{name}")
    assert [len(array) for array in compared] == sizes
    assert not np.array_equal(compared[0][-1], compared[1][-1])


@pytest.mark.parametrize(("name", "shape"), [("half", (3, 16, 16)), ("of_bytes", (3, 16, 16)), ("unbatched", (3, 16, 12))])
def test_a_factory_of_another_form_is_float32_with_a_batch_from_outside(networks, name, shape):
    source = opening.open_model(f"networks:{name}")
    x = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.float32) / (255 if name != "of_bytes" else 1)
    rows = x if source.dynamic_batch else x[:1]
    with torch.no_grad():
        want = torch.utils._pytree.tree_leaves(source.torch_module(torch.from_numpy(rows)))[0].numpy()
    (got,) = Session(source.model).run({source.model.graph.inputs[0].name: rows}).values()
    assert relative_difference([got], [want]) <= (1e-2 if name == "half" else 1e-4)
    assert (source.dynamic_batch, source.has_batch) == ((False, False) if name == "unbatched" else (True, True))


def test_rows_that_influence_each_other_are_not_a_free_batch(networks):
    source = opening.open_model("networks:mixing")
    assert not source.dynamic_batch
    assert batch_symbol(source.model.graph) is None


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("networks:nothing", UsageError, "no function 'nothing'"),
        ("nowhere_at_all:residual", UsageError, "cannot import 'nowhere_at_all'"),
        ("networks:not_a_module", UsageError, "gives str"),
        ("networks:failing", ExportError, "RuntimeError: no weights here"),
        ("networks:branching", ExportError, "branches or loops on the content of a tensor"),
        ("yolo11n.pt", UsageError, r"yolo export model=yolo11n\.pt format=onnx"),
        ("missing.onnx", ExportError, "no model file missing.onnx"),
        ("missing.pt2", ExportError, "no model file missing.pt2"),
        (".", ExportError, "is no model folder: it has no config.json"),
        ("model.tflite", UsageError, "is no .onnx or .pt2 file, no model folder and no package.module:factory"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(networks, reference, error, message):
    with pytest.raises(error, match=message) as caught:
        opening.open_model(reference)
    assert "\n" not in str(caught.value)


def test_an_onnx_file_needs_no_torch(saved):
    use = f"from isthmus.export.doors.opening import open_model; open_model({saved(STATIC)!r})"
    program = f"import sys; {use}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"not a model", "not a sound ONNX file: "),
        (bytes(range(256)) * 8, "not a sound ONNX file: "),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "fetch the model with: git lfs pull"),
        (b"PK\x03\x04 and more", "it is a zip, as torch writes"),
        (b"<!DOCTYPE html><html></html>", "it is a page of HTML"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "it is a TensorFlow Lite file"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ExportError, match=message) as caught:
        opening.open_model(str(tmp_path / "bad.onnx"))
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(saved, tmp_path):
    saved(STATIC)
    whole = tmp_path / "model.onnx"
    whole.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ExportError):
        opening.open_model(str(whole))


def test_weights_beside_the_file_come_in(tmp_path, proto_of):
    onnx.save(proto_of(STATIC), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    source = opening.open_model(str(tmp_path / "m.onnx"))
    (tmp_path / "m.data").unlink()
    assert source.model.graph.initializers["w1"].const_value.numpy().shape == (4, 3, 3, 3)


def test_missing_weights_are_refused(tmp_path, proto_of):
    onnx.save(proto_of(STATIC), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").unlink()
    with pytest.raises(ExportError, match=r"m\.data"):
        opening.open_model(str(tmp_path / "m.onnx"))


def test_a_fixed_batch_of_one_is_freed_when_rows_are_independent(saved):
    source = opening.open_model(saved(STATIC))
    assert source.dynamic_batch
    x = np.random.default_rng(0).random((5, 3, 8, 8), dtype=np.float32)
    together = Session(source.model).run({"x": x})["y"]
    alone = [Session(source.model).run({"x": x[row : row + 1]})["y"] for row in range(5)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-4, atol=1e-5)


def test_a_reshape_that_bakes_in_one_row_is_freed(saved):
    source = opening.open_model(
        saved("n (float[1, 4] x) => (float[1, 2, 2] y) { s = Constant <value_ints = [1, 2, 2]> () y = Reshape (x, s) }")
    )
    assert source.dynamic_batch
    assert Session(source.model).run({"x": np.zeros((3, 4), np.float32)})["y"].shape == (3, 2, 2)


def test_a_fixed_batch_that_cannot_be_freed_stays(saved):
    source = opening.open_model(
        saved("n (float[1, 4] x) => (float[2, 2] y) { s = Constant <value_ints = [2, 2]> () y = Reshape (x, s) }")
    )
    assert not source.dynamic_batch
    assert source.example_inputs[0].shape == (1, 4)


def test_a_declared_batch_that_is_baked_in_is_noticed(saved):
    text = "n (float[batch, 4] x) => (float[rows, 2] y) { s = Constant <value_ints = [2, 2]> () y = Reshape (x, s) }"
    source = opening.open_model(saved(text))
    assert not source.dynamic_batch
    assert list(source.model.graph.inputs[0].shape) == [1, 4]


def test_an_input_without_a_batch_comes_in(saved):
    source = opening.open_model(saved("n (float scale, float[7] x) => (float[7] y) { t = Mul (x, scale) y = Relu (t) }"))
    assert not source.dynamic_batch
    assert [array.shape for array in source.example_inputs] == [(), (7,)]


def test_initialisers_listed_as_inputs_are_not_inputs(saved):
    def list_weights(proto):
        proto.graph.input.extend(
            onnx.helper.make_tensor_value_info(value.name, value.data_type, value.dims) for value in proto.graph.initializer
        )

    source = opening.open_model(saved(STATIC, change=list_weights))
    assert [value.name for value in source.model.graph.inputs] == ["x"]


@pytest.mark.parametrize(("opset", "wanted"), [(7, 17), (9, 17), (13, 17), (18, 17), (21, 17), (22, 22)])
def test_old_opsets_are_raised_and_results_stay(saved, opset, wanted):
    text = "n (float[2, 4] x) => (float[2, 4] y) { t = Exp (x) y = Softmax <axis = 1> (t) }"
    source = opening.open_model(saved(text, opset))
    assert source.model.opset_imports[""] == wanted
    x = np.random.default_rng(1).random((2, 4), dtype=np.float32)
    grown = np.exp(np.exp(x))
    np.testing.assert_allclose(Session(source.model).run({"x": x})["y"], grown / grown.sum(1, keepdims=True), rtol=1e-5)


RAISED = {
    "clip": (7, 10, "y = Clip <min = 0.2, max = 0.5> (x)"),
    "upsample": (7, 8, 'y = Upsample <mode = "linear", scales = [1.0, 1.0, 1.5, 1.5]> (x)'),
    "resize": (10, 10, 's = Constant <value = float[4] {1.0, 1.0, 1.5, 1.5}> () y = Resize <mode = "linear"> (x, s)'),
    "slice": (7, 9, "y = Slice <axes = [2, 3], starts = [1, 1], ends = [5, 1000]> (x)"),
    "pad": (7, 10, 'y = Pad <mode = "reflect", pads = [0, 0, 1, 1, 0, 0, 1, 1]> (x)'),
    "squeeze": (7, 12, "u = Unsqueeze <axes = [0]> (x) y = Squeeze <axes = [0]> (u)"),
    "reduce": (7, 12, "y = ReduceSum <axes = [1], keepdims = 1> (x)"),
    "softmax": (7, 12, "y = Softmax <axis = 2> (x)"),
    "means": (18, 21, "a = Constant <value_ints = [1, 2]> () y = ReduceMean (x, a)"),
    "parts": (18, 21, "y, z = Split <axis = 1, num_outputs = 2> (x)"),
    "padded": (18, 21, 'p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> () y = Pad <mode = "edge"> (x, p)'),
    "sampled": (20, 21, 'g = Constant <value = float[2,1,1,2] {0.1, 0.2, 0.3, 0.4}> () y = GridSample <mode = "linear"> (x, g)'),
    "quantised": (10, 21, "s = Constant <value = float {0.05}> () z = Constant <value = uint8 {3}> () "
                  "q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z)"),
}  # fmt: skip
"""Operators that the converter changes: first and last opset of the form."""


@pytest.mark.parametrize(
    ("name", "version"), [(name, version) for name, (*ends, _) in RAISED.items() for version in sorted({*ends})]
)
def test_operators_of_every_opset_give_the_same_at_17(tmp_path, name, version):
    body = RAISED[name][2]
    text = f'<ir_version: 8, opset_import: ["" : {version}]> n (float[2, 4, 6, 6] x) => (float[a, b, c, d] y) {{ {body} }}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "model.onnx")
    source = opening.open_model(str(tmp_path / "model.onnx"))
    x = np.random.default_rng(1).normal(size=(2, 4, 6, 6)).astype(np.float32)
    plain = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(Session(source.model).run({"x": x})["y"], plain.run(["y"], {"x": x})[0], rtol=1e-5, atol=1e-6)
    assert source.model.opset_imports == {"": 17}


def test_an_operator_that_the_converter_cannot_lower_keeps_its_opset(saved):
    text = "n (float[batch, 4] x) => (float[batch, 4] y) { t = Gelu (x) y = Neg (t) }"
    assert opening.open_model(saved(text, 20)).model.opset_imports[""] == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n (string[2] words) => (string[2] y) { y = Identity (words) }", "'words' holds strings"),
        ("n (seq(float[2]) parts) => (float[k] y) { y = ConcatFromSequence <axis = 0> (parts) }", "'parts' is a sequence"),
        ("n () => (float[4] y) { y = Relu (b1) }", "has no inputs"),
        ("n (optional(float[2]) part) => (bool y) { y = OptionalHasElement (part) }", "'part' is a sequence or an optional"),
    ],
)
def test_inputs_that_cannot_cross_are_refused(saved, text, message):
    with pytest.raises(ExportError, match=message):
        opening.open_model(saved(text))


def test_an_operator_of_a_foreign_domain_is_named(saved):
    def make_foreign(proto):
        proto.graph.node[0].domain = "vendor.ops"
        proto.graph.node[0].op_type = "Magic"
        proto.opset_import.append(onnx.helper.make_opsetid("vendor.ops", 1))

    with pytest.raises(ExportError, match=r"vendor\.ops\.Magic"):
        opening.open_model(saved(STATIC, change=make_foreign))


def test_two_openings_give_the_same_inputs(saved):
    path = saved(STATIC)
    first, second = opening.open_model(path), opening.open_model(path)
    np.testing.assert_array_equal(first.example_inputs[0], second.example_inputs[0])


def test_a_control_flow_model_keeps_its_opset(saved):
    body = "yes () => (float[2] a) { a = Neg (x) }, else_branch = no () => (float[2] b) { b = Abs (x) }"
    text = f"n (float[2] x, bool c) => (float[2] y) {{ t = If (c) < then_branch = {body} > y = Relu (t) }}"
    assert opening.open_model(saved(text, opset=15)).model.opset_imports[""] == 15


def test_dimensions_that_inference_does_not_know_are_measured(saved):
    def fuse(proto):
        proto.graph.node[0].domain, proto.graph.node[0].op_type = "com.microsoft", "FusedConv"
        proto.graph.node[0].attribute.append(onnx.helper.make_attribute("activation", "Relu"))
        proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))

    text = "n (float[batch, 3, 8, 8] x) => (float[k, l, m, n] y) { c = Conv <strides = [2, 2]> (x, w1, b1) y = Neg (c) }"
    source = opening.open_model(saved(text, change=fuse))
    (cut,) = cuts.enumerate(source.model)
    assert (cut.shapes, cut.bytes) == (((BATCH, 4, 3, 3),), 4 * 4 * 3 * 3)


FOREIGN = {
    "dtln": "opens",
    "magika": "opens",
    "onnxruntime__c_cxx_MNIST": "opens",
    "onnxruntime__hf-internal-testing_tiny-random-gpt2": "opens",
    "onnxruntime__js_api-usage": "opens",
    "onnxruntime__models_marian": "opens",
    "onnxruntime__models_multimodal": "opens",
    "onnxruntime__models_phi3-v": "has no nodes",
    "onnxruntime__pytorch_superresolution": r"operator com\.microsoft\.extensions\.DecodeImage",
    "server__add_with_initializer": "opens",
    "server__simple_1": "opens",
    "server__simple_sequence": "opens",
    "server__simple_string": "'INPUT0' holds strings",
    "silero": "opens",
    "ultra": "opens",
    "FastestDet": "opens",
    "yolox_nano": "opens",
    "mobilenet_v2_quant": "opens",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOREIGN)
def test_every_foreign_file_opens_or_is_refused_by_name(foreign_files, name):
    (path,) = [path for path in foreign_files if path.name.startswith(name)]
    if FOREIGN[name] != "opens":
        with pytest.raises(ExportError, match=FOREIGN[name]) as caught:
            opening.open_model(str(path))
        assert "\n" not in str(caught.value)
        return
    source = opening.open_model(str(path))
    shapes = [array.shape for array in source.example_inputs]
    answers = Session(source.model).run(
        dict(zip([v.name for v in source.model.graph.inputs], source.example_inputs, strict=True))
    )
    assert len(shapes) == len(source.model.graph.inputs)
    assert len(answers) == len(source.model.graph.outputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FastestDet", "yolox_nano", "ultra", "mobilenet_v2_quant"])
def test_foreign_picture_networks_take_batches(foreign_files, name):
    (path,) = [path for path in foreign_files if path.name.startswith(name)]
    source = opening.open_model(str(path))
    plain = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(2).random((3, *source.example_inputs[0].shape[1:]), dtype=np.float32)
    together = Session(source.model).run({plain.get_inputs()[0].name: x})
    alone = [plain.run(None, {plain.get_inputs()[0].name: row[None]}) for row in x]
    assert source.dynamic_batch
    assert relative_difference(list(together.values()), [np.concatenate(rows) for rows in zip(*alone, strict=True)]) <= 1e-4
