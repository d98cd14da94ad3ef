import json

import numpy as np
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

from isthmus.cli.main import app
from isthmus.contract.bundle import open_bundle
from isthmus.contract.prepare import Preparation
from isthmus.devices import golden
from isthmus.devices.runtime import Network
from isthmus.errors import ExportError
from isthmus.export.detectors.recognition import recognise
from isthmus.export.doors.opening import open_model
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.graph.session import Session, relative_difference
from isthmus.export.samples import Samples
from isthmus.export.standalone import make

runner = CliRunner()
PREPARATION = Preparation(width=8, height=8)
NOTHING = Samples(pictures=[], labels=None, names=(), origin="nothing")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """24 pictures of five named classes."""
    path = tmp_path_factory.mktemp("data") / "some.npz"
    images = np.random.default_rng(0).integers(0, 256, (24, 20, 18, 3), np.uint8)
    np.savez(path, images=images, labels=np.arange(24) % 5, names=["boot", "dress", "hat", "scarf", "shoe"])
    return path


@pytest.fixture
def file_of(tmp_path, handmade, model_of):
    """A function that saves a hand-made network, given by name or as text, and gives the path."""

    def save(network):
        path = tmp_path / f"network_{len(list(tmp_path.iterdir()))}.onnx"
        ir.save(handmade.get(network) or model_of(network), path)
        return path

    return save


OTHER_PORTS = """
network (float[batch, 3, 8, 8] picture) => (float[batch, 5] verdict) {
    x = Conv <strides = [8, 8]> (picture, w8, b1)
    active = Relu (x)
    answer = Flatten (active)
    verdict = Gemm <transB = 1> (answer, w4, b3)
}
"""


def exported(model, folder, data, local):
    settings = ExportSettings(cut="active", bottleneck="none", data=data, int8="off", local=local)
    return export(str(model), folder / "bundle", settings).bundle


@pytest.mark.parametrize("kind", ["whole", "int8"])
def test_the_unsplit_network_goes_in_and_is_checked_where_it_is_loaded(file_of, data, tmp_path, kind):
    bundle = exported(file_of("skip"), tmp_path, data, kind)
    assert (bundle.manifest.local.kind, bundle.manifest.local.flops) == (kind, bundle.manifest.whole.flops)
    gate = golden.check_local(bundle, golden.read(bundle), Network.of_bundle(bundle, golden.LOCAL))
    assert gate.value <= gate.limit == bundle.manifest.local.output_error_max
    rows = json.loads((bundle.folder / "evaluation.json").read_text())["rows"]
    assert [row["setting"] for row in rows if row.get("rival") == "local"] == ["whole", "local.onnx"]


def test_int8_says_nearly_the_same_with_integer_layers(file_of, data):
    source = open_model(str(file_of("skip")))
    few = Samples(pictures=list(np.load(data)["images"]), labels=None, names=(), origin="noise")
    made = make("int8", source, None, PREPARATION, few)
    pictures = np.random.default_rng(1).random((4, 3, 8, 8), dtype=np.float32)
    want = Session(source.model).run({"x": pictures})
    assert 0 < relative_difference(list(made.outputs(pictures).values()), list(want.values())) < 0.1
    assert "QuantizeLinear" in {node.op_type for node in made.model.graph}


def test_another_network_is_called_by_the_names_of_the_first(file_of, data, tmp_path):
    own = file_of(OTHER_PORTS)
    bundle = exported(file_of("skip"), tmp_path, data, own)
    network = Network.of_bundle(bundle, golden.LOCAL)
    picture = np.random.default_rng(1).random((1, 3, 8, 8), dtype=np.float32)
    want = Network.load(own).run({"picture": picture})["verdict"]
    assert np.array_equal(network.run({"x": picture})["answer"], want)
    assert bundle.manifest.local.kind == "own"


def test_a_network_of_other_outputs_is_refused(file_of, data, tmp_path):
    other = file_of(
        OTHER_PORTS.replace("Gemm <transB = 1> (answer, w4, b3)", "Relu (answer)").replace("5] verdict", "4] verdict")
    )
    with pytest.raises(ExportError, match=r"its output is FLOAT\[batch, 4\], that of the network FLOAT\[batch, 5\]"):
        exported(file_of("skip"), tmp_path, data, other)


def test_a_detector_of_its_own_gets_boxes_too(tiny_detector):
    source = open_model(str(tiny_detector))
    detector = recognise(source, "yolox", names=(), score_min=None)
    made = make(tiny_detector, source, detector, PREPARATION, NOTHING)
    assert {value.name for value in made.model.graph.outputs} == {"boxes", "scores", "classes"}


def test_a_classifier_is_no_stand_in_for_a_detector(tiny_detector, file_of):
    source = open_model(str(tiny_detector))
    detector = recognise(source, "yolox", names=(), score_min=None)
    with pytest.raises(ExportError, match="yolox"):
        make(file_of("skip"), source, detector, PREPARATION, NOTHING)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_the_command_line_makes_it_and_shows_it(file_of, data, tmp_path, command):
    options = ["--data", data, "--cut", "active", "--bottleneck", "none", "--int8", "off", "--local", "whole"]
    output = tmp_path / "b.isthmus"
    done = runner.invoke(app, [*map(str, ["export", file_of("skip"), "-o", output, *options])])
    assert (done.exit_code, "device alone: " in done.stdout, open_bundle(output).has(golden.LOCAL)) == (0, True, True)
    shown = runner.invoke(app, [command, str(output)])
    assert shown.exit_code == 0
    assert {"inspect": "device alone", "verify": "local outputs"}[command] in shown.stdout


def test_a_file_that_is_not_there_is_found_before_anything_is_opened(data, tmp_path):
    done = runner.invoke(app, [*map(str, ["export", "none.onnx", "-o", tmp_path / "b", "--data", data, "--local", "smal"])])
    assert done.exit_code == 2
    assert "--local smal: whole, int8 or an .onnx file is needed" in done.stderr.replace("\n", " ")
