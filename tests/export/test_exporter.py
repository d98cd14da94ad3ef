import json
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from isthmus.codec import tables
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import open_bundle
from isthmus.devices import golden
from isthmus.devices.runtime import Network
from isthmus.errors import BundleError, ExportError, UsageError
from isthmus.export import gates
from isthmus.export.bottlenecks.bottleneck import from_modules
from isthmus.export.doors.opening import open_model
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.targets import tensorrt
from isthmus.export.training import recipe, run
from isthmus.export.training.distill import TrainingSettings
from isthmus.export.training.pace import Pace

FIXED = """
n (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {
    t = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    u = Relu (t)
    y = Softmax <axis = 0> (u)
}
"""
TRAINING = TrainingSettings(steps=30, batch=8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "fastest", lambda step: (step(way := Pace(threads=1, half_precision=False)), way)[1])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """24 pictures of five named classes."""
    path = tmp_path_factory.mktemp("data") / "some.npz"
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (24, 20, 18, 3), np.uint8)
    np.savez(path, images=images, labels=np.arange(24) % 5, names=["boot", "dress", "hat", "scarf", "shoe"])
    return path


@pytest.fixture
def skip_file(tmp_path, handmade):
    ir.save(handmade["skip"], tmp_path / "skip.onnx")
    return str(tmp_path / "skip.onnx")


def check_on_this_machine(bundle):
    """What `isthmus verify` does."""
    frames = golden.read(bundle)
    golden.check_codec(bundle, frames)
    golden.check_head(bundle, frames, Network.load(bundle.path("head.onnx")))
    golden.check_tail(bundle, frames, Network.load(bundle.path("tail.onnx")))


MODES = (Mode.RAW, Mode.ZSTD, Mode.INTRA, Mode.TEMPORAL)
SPLIT_GATES = ["both halves are well formed", "head then tail equals the source"]


def check_record(bundle, names):
    manifest = bundle.manifest
    assert [gate.name for gate in manifest.gates] == names
    assert all(gate.value <= gate.limit for gate in manifest.gates)
    assert manifest.contract_digest == manifest.computed_digest()
    assert [point.name for point in manifest.points] == ["full"]
    assert manifest.points[0].bytes_mean > 0
    assert {"head.onnx", "tail.onnx", "whole.onnx", "golden.npz", "codec.npz"} == set(manifest.files)
    results = json.loads((bundle.folder / "evaluation.json").read_text())
    assert [row.get("point") or row.get("rival") for row in results["rows"]] == ["full", "local"]
    assert manifest.points[0].bytes_mean == pytest.approx(results["rows"][0]["bytes_mean"], abs=0.06)


@pytest.mark.parametrize("cut", ["active", "second"])
def test_a_file_is_exported_without_a_bottleneck(skip_file, data, tmp_path, cut):
    said = []
    made = export(
        skip_file, tmp_path / "a.isthmus", ExportSettings(cut=cut, bottleneck="none", data=data, int8="off"), on_step=said.append
    )
    bundle = open_bundle(tmp_path / "a.isthmus")
    assert bundle.digest == made.bundle.digest
    assert (tmp_path / "a.isthmus").is_file()
    check_record(bundle, [*SPLIT_GATES, "head, codec, tail equal the quantised whole"])
    check_on_this_machine(bundle)
    assert bundle.manifest.id == "skip"
    assert bundle.manifest.cut.tensors[-1] == cut
    assert (bundle.manifest.training, bundle.manifest.cut.replaces_head) == (None, False)
    assert bundle.manifest.task.labels == ("boot", "dress", "hat", "scarf", "shoe")
    assert said[-1] == f"writing {tmp_path / 'a.isthmus'}"


def test_principal_components_make_three_points_that_are_measured(networks, data, tmp_path):
    settings = ExportSettings(cut="relu", bottleneck="pca", channels=6, bits=5, data=data, int8="on")
    bundle = export("networks:residual", tmp_path / "a", settings).bundle
    manifest = bundle.manifest
    assert [(point.name, point.channels) for point in manifest.points] == [("full", (6,)), ("half", (3,)), ("quarter", (1,))]
    sizes = [point.bytes_mean for point in manifest.points]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 < manifest.points[2].explained_variance < manifest.points[0].explained_variance <= 1
    assert (manifest.bottleneck, manifest.cut.replaces_head, manifest.int8.shipped) == ("pca", False, True)
    rows = json.loads((bundle.folder / "evaluation.json").read_text())["rows"]
    assert [row.get("point") or row.get("rival") for row in rows] == ["full", "half", "quarter"] * 2 + ["local"]
    check_on_this_machine(bundle)
    golden.check_head(bundle, golden.read(bundle), Network.load(bundle.path(golden.INT8_HEAD)))
    assert {(mode, point) for mode, _, point in golden.read(bundle).payloads} == {(mode, p) for mode in MODES for p in range(3)}
    assert set(tables.of_bundle(bundle).tables) == {(point, mode) for mode in tables.TABLE_MODES for point in range(3)}


def test_a_flat_folder_of_pictures_is_enough_without_training(skip_file, pictures, tmp_path):
    settings = ExportSettings(cut="active", bottleneck="pca", channels=2, data=pictures)
    check_on_this_machine(export(skip_file, tmp_path / "a", settings).bundle)


def test_what_cannot_cross_is_refused_with_a_cut_that_can(data, tmp_path, proto_of):
    text = (
        "n (float[batch, 3, 8, 8] x) => (float[batch, 3, 8, 8] y) "
        "{ r = Relu (x) t = Cast <to = 6> (r) u = Cast <to = 1> (t) y = Neg (u) }"
    )
    onnx.save(proto_of(text), tmp_path / "integers.onnx")
    with pytest.raises(ExportError, match=r"tensor t at the cut is INT32.*; only .* can cross, name another cut, as --cut r$"):
        export(str(tmp_path / "integers.onnx"), tmp_path / "a", ExportSettings(cut="t", bottleneck="none", data=data))


def test_signed_codes_are_exported_for_tensorrt_behind_quantizelinear(skip_file, data, tmp_path):
    settings = ExportSettings(cut="second", bottleneck="none", data=data, runtime="tensorrt")
    bundle = export(skip_file, tmp_path / "a", settings).bundle
    check_on_this_machine(bundle)
    assert "TensorRT takes the networks" in [gate.name for gate in bundle.manifest.gates]
    assert any(tensor.signed for tensor in bundle.manifest.boundary.tensors)
    assert tensorrt.findings(ir.load(bundle.path("head.onnx"))) == []


def test_an_int8_head_for_tensorrt_is_of_the_kind_that_it_takes(networks, data, tmp_path):
    settings = ExportSettings(cut="relu6", bottleneck="pca", channels=3, data=data, int8="on", runtime="tensorrt")
    bundle = export("networks:residual", tmp_path / "a", settings).bundle
    assert (bundle.manifest.int8.activations, bundle.manifest.int8.other_ms) == ("int8", {})
    assert tensorrt.findings(ir.load(bundle.path(golden.INT8_HEAD))) == []
    golden.check_head(bundle, golden.read(bundle), Network.load(bundle.path(golden.INT8_HEAD)))


def test_what_tensorrt_would_refuse_is_found_before_the_pictures_are_read(tmp_path, proto_of):
    text = "n (float[batch, 3, 8, 8] x) => (float[batch, 3] y) { a = Relu (x) b = Det (a) y = Hardmax (b) }"
    onnx.save(proto_of(text), tmp_path / "m.onnx")
    settings = ExportSettings(cut="a", bottleneck="none", data=tmp_path / "nothing", runtime="tensorrt")
    with pytest.raises(ExportError, match="Det 'node_1': is not in the list"):
        export(str(tmp_path / "m.onnx"), tmp_path / "b", settings)


def test_a_factory_is_exported_with_a_learned_bottleneck_to_a_folder(networks, data, tmp_path):
    seen = []
    settings = ExportSettings(cut="relu", channels=4, bits=3, data=data, int8="off", training=TRAINING, licence="none")
    made = export("networks:residual", tmp_path / "deeper" / "made", settings, on_progress=seen.append)
    bundle = open_bundle(tmp_path / "deeper" / "made")
    assert bundle.folder == tmp_path / "deeper" / "made"
    check_record(
        bundle,
        [
            "imported ONNX equals torch",
            *SPLIT_GATES,
            "head codes equal torch",
            "trained tail equals torch",
            "head, codec, tail equal the quantised whole",
        ],
    )
    check_on_this_machine(bundle)
    manifest = bundle.manifest
    assert (manifest.cut.replaces_head, manifest.source, manifest.licence) == (True, "networks:residual", "none")
    assert [(tensor.shape, tensor.bits) for tensor in manifest.boundary.tensors] == [((4, 4, 4), 3)]
    assert (manifest.training.recipe, manifest.training.stages[0]["steps"]) == ("isthmus", 30)
    assert (manifest.training.samples, made.learned.steps) == (22, 30)
    assert len([progress for progress in seen if progress.loss is not None]) == 30
    assert list((tmp_path / "deeper").iterdir()) == [tmp_path / "deeper" / "made"]


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_makes_a_bundle_with_its_own_number_of_channels_and_bits(networks, data, tmp_path, name):
    made = recipe.load(name)
    training = TrainingSettings(recipe=made, steps=4, batch=8)
    bundle = export(
        "networks:residual", tmp_path / "a", ExportSettings(cut="relu", data=data, int8="off", training=training)
    ).bundle
    check_on_this_machine(bundle)
    (tensor,) = bundle.manifest.boundary.tensors
    assert (tensor.channels, tensor.bits, bundle.manifest.training.recipe) == (made.channels, made.bits, name)
    assert ("trained tail equals torch" in [gate.name for gate in bundle.manifest.gates]) == made.trains_tail


def test_a_trained_tail_goes_into_the_bundle_and_the_unsplit_network_stays(networks, data, tmp_path):
    settings = ExportSettings(cut="relu", channels=4, data=data, int8="off", training=TRAINING)
    bundle = export("networks:residual", tmp_path / "a", settings).bundle
    tail, whole = (ir.load(bundle.path(name)).graph.initializers for name in ("tail.onnx", "whole.onnx"))
    before = open_model("networks:residual").model.graph.initializers["head.weight"].const_value.numpy()
    assert np.array_equal(whole["head.weight"].const_value.numpy(), before)
    moved = np.abs(tail["head.weight"].const_value.numpy() - before).max()
    assert 0 < moved < 0.1


def test_nested_channels_make_points_that_are_measured(networks, data, tmp_path):
    training = replace(TRAINING, nested=True)
    settings = ExportSettings(cut="relu", channels=4, data=data, int8="off", training=training)
    bundle = export("networks:residual", tmp_path / "a", settings).bundle
    assert [(point.name, point.channels) for point in bundle.manifest.points] == [
        ("full", (4,)),
        ("half", (2,)),
        ("quarter", (1,)),
    ]
    sizes = [point.bytes_mean for point in bundle.manifest.points]
    assert sizes == sorted(sizes, reverse=True)
    check_on_this_machine(bundle)
    assert set(tables.of_bundle(bundle).tables) == {(point, mode) for mode in tables.TABLE_MODES for point in range(3)}


def test_a_number_of_bytes_that_was_asked_for_is_told_with_what_came_about(networks, data, tmp_path):
    said = []
    training = replace(TRAINING, target_bytes=24)
    settings = ExportSettings(cut="relu", channels=4, data=data, int8="off", training=training)
    bundle = export("networks:residual", tmp_path / "a", settings, on_step=said.append).bundle
    told = bundle.manifest.training.stages[0]
    assert told["target_bytes"] == 24
    size = bundle.manifest.points[0].bytes_mean
    words = f"{size:.0f} bytes for a picture on average, 24 were asked for; the rate weight became {told['rate_weight']:.3g}"
    assert said[-1] == words


CHANNELS_LAST = """
n (float[batch, 16, 16, 3] x) => (float[batch, 5] y) {
    a = Transpose <perm = [0, 3, 1, 2]> (x)
    b = Conv <strides = [4, 4], pads = [1, 1, 1, 1]> (a, w1, b1)
    c = Relu (b)
    d = Concat <axis = 1> (c, c)
    e = GlobalAveragePool (d)
    f = Flatten (e)
    y = Gemm <transB = 1> (f, w3, b3)
}
"""


def test_a_bottleneck_is_learned_where_pictures_have_their_channels_last(data, tmp_path, proto_of):
    onnx.save(proto_of(CHANNELS_LAST), tmp_path / "last.onnx")
    settings = ExportSettings(cut="c", channels=4, data=data, int8="on", training=TRAINING)
    bundle = export(str(tmp_path / "last.onnx"), tmp_path / "a", settings).bundle
    check_on_this_machine(bundle)
    assert (bundle.manifest.preparation.layout, bundle.manifest.input.shape) == ("nhwc", (None, 16, 16, 3))


def test_a_bottleneck_is_learned_for_a_network_of_half_precision(networks, data, tmp_path):
    settings = ExportSettings(cut="relu", channels=4, data=data, int8="off", training=TRAINING)
    bundle = export("networks:half", tmp_path / "a", settings).bundle
    check_on_this_machine(bundle)
    assert bundle.manifest.cut.replaces_head


def test_modules_around_a_tensor_of_half_precision_work_in_float32(networks, data, tmp_path):
    def make(halves, _pictures, _preparation):
        narrow, widen = torch.nn.Conv2d(8, 2, 1), torch.nn.Conv2d(2, 8, 1)
        return [from_modules(halves, narrow, widen, bits=4)]

    bundle = export("networks:half", tmp_path / "a", ExportSettings(cut="relu", bottleneck=make, data=data, int8="off")).bundle
    check_on_this_machine(bundle)


def test_a_bottleneck_is_learned_for_a_detector(tiny_detector, data, tmp_path):
    settings = ExportSettings(cut="mixed", channels=4, data=data, int8="off", training=TRAINING)
    bundle = export(str(tiny_detector), tmp_path / "a", settings).bundle
    check_on_this_machine(bundle)
    assert bundle.manifest.task.kind == "detection"


def told_of(made):
    told = made.bundle.manifest.training.stages[0]
    return {key: told[key] for key in ("steps", "interrupted")}


def test_ctrl_c_while_training_still_gives_a_bundle_and_can_be_resumed(skip_file, data, tmp_path):
    def interrupt(progress):
        if progress.step == 12 and progress.loss is not None:
            raise KeyboardInterrupt

    settings = ExportSettings(cut="active", data=data, training=TRAINING)
    made = export(skip_file, tmp_path / "a.isthmus", settings, on_progress=interrupt)
    assert told_of(made) == {"steps": 12, "interrupted": True}
    assert (tmp_path / "a.checkpoint").is_file()
    seen = []
    resumed = ExportSettings(cut="active", data=data, training=TRAINING, resume=True)
    made = export(skip_file, tmp_path / "a.isthmus", resumed, on_progress=seen.append)
    assert told_of(made) == {"steps": 30, "interrupted": False}
    assert [progress.step for progress in seen if progress.loss is not None] == list(range(13, 31))
    assert not (tmp_path / "a.checkpoint").exists()


def test_a_gate_that_fails_leaves_nothing_and_keeps_what_was_there(skip_file, data, tmp_path, monkeypatch):
    settings = ExportSettings(cut="active", bottleneck="none", data=data)
    export(skip_file, tmp_path / "old", settings)
    before = open_bundle(tmp_path / "old").digest
    through = gates._through
    monkeypatch.setattr(gates, "_through", lambda *given: {name: codes ^ 1 for name, codes in through(*given).items()})
    for name in ("new.isthmus", "old"):
        with pytest.raises(ExportError, match=r"gate 'head, codec, tail .*' failed: .*, at most 0.0001 .*nothing was written"):
            export(skip_file, tmp_path / name, settings)
    assert not (tmp_path / "new.isthmus").exists()
    assert open_bundle(tmp_path / "old").digest == before


@pytest.mark.parametrize("bottleneck", ["none", "learned"])
def test_without_pictures_there_is_nothing_to_work_on(skip_file, tmp_path, bottleneck):
    with pytest.raises(UsageError, match=f"--bottleneck {bottleneck} needs pictures to work on; give --data"):
        export(skip_file, tmp_path / "a.isthmus", ExportSettings(cut="active", bottleneck=bottleneck))


def test_one_picture_is_too_few(skip_file, tmp_path):
    np.savez(tmp_path / "one.npz", images=np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.raises(ExportError, match="holds 1 picture; at least 2 are needed"):
        export(skip_file, tmp_path / "a.isthmus", ExportSettings(cut="active", data=tmp_path / "one.npz"))


def test_two_pictures_are_enough_without_training(skip_file, tmp_path):
    np.savez(tmp_path / "two.npz", images=np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8))
    settings = ExportSettings(cut="active", bottleneck="none", data=tmp_path / "two.npz")
    check_on_this_machine(export(skip_file, tmp_path / "a", settings).bundle)


def test_a_network_of_a_fixed_batch_of_one_is_exported(data, tmp_path, proto_of):
    onnx.save(proto_of(FIXED), tmp_path / "fixed.onnx")
    settings = ExportSettings(cut="u", bottleneck="none", data=data)
    bundle = export(str(tmp_path / "fixed.onnx"), tmp_path / "a", settings).bundle
    assert bundle.manifest.input.shape == (1, 3, 8, 8)
    assert bundle.manifest.task.kind == "features"
    check_on_this_machine(bundle)


def test_pictures_of_other_classes_are_used_without_their_labels(skip_file, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "other.npz", images=images, labels=np.arange(12) % 7, names=list("abcdefg"))
    settings = ExportSettings(cut="active", bottleneck="none", data=tmp_path / "other.npz")
    bundle = export(skip_file, tmp_path / "a", settings).bundle
    results = json.loads((bundle.folder / "evaluation.json").read_text())
    assert (results["meta"]["metric"], bundle.manifest.task.labels) == ("agreement with the unsplit network", ())


@pytest.mark.parametrize("text", ["n (float[batch, 16] x) => (float[batch, 16] y) { t = Relu (x) y = Neg (t) }"])
def test_a_network_that_takes_no_picture_is_refused_in_one_line(data, tmp_path, proto_of, text):
    onnx.save(proto_of(text), tmp_path / "vector.onnx")
    with pytest.raises(ExportError, match=r"one picture input \[batch, 1 or 3, row, column\].*; this one takes x") as refused:
        export(str(tmp_path / "vector.onnx"), tmp_path / "a", ExportSettings(data=data))
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_no_bundle_is_not_overwritten(skip_file, data, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "precious.jpg").write_bytes(b"picture")
    said = []
    with pytest.raises(BundleError, match="is a folder that is not a bundle"):
        export(skip_file, tmp_path / "photos", ExportSettings(cut="active", bottleneck="none", data=data), on_step=said.append)
    assert (tmp_path / "photos" / "precious.jpg").read_bytes() == b"picture"
    assert said == []
