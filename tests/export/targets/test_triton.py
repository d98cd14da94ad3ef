import json

import numpy as np
import onnx
import onnxruntime
import pytest

from isthmus.contract.bundle import open_bundle
from isthmus.contract.bundle_writing import write_bundle
from isthmus.errors import BundleError, ConfigError, UsageError
from isthmus.export.targets.triton import TritonSettings, write_repository


def written(bundle, repository, **settings):
    return write_repository(bundle, repository, TritonSettings(**settings))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_bundle_becomes_two_models(tiny_bundle, tmp_path):
    models = written(tiny_bundle, tmp_path / "models")
    assert [(model.name, model.version) for model in models] == [("tiny", 1), ("tiny_whole", 1)]
    assert files(tmp_path / "models") == [
        "tiny/1/model.onnx",
        "tiny/config.pbtxt",
        "tiny/labels.txt",
        "tiny_whole/1/model.onnx",
        "tiny_whole/config.pbtxt",
        "tiny_whole/labels.txt",
    ]
    assert (tmp_path / "models/tiny/labels.txt").read_text() == "a\nb\nc\nd\ne\n"
    assert 'label_filename: "labels.txt"' in (tmp_path / "models/tiny/config.pbtxt").read_text()


def test_the_model_takes_what_the_codec_gives(tiny_bundle, tmp_path):
    written(tiny_bundle, tmp_path / "models")
    session = onnxruntime.InferenceSession(tmp_path / "models/tiny/1/model.onnx", providers=["CPUExecutionProvider"])
    golden = np.load(tiny_bundle.folder / "golden.npz")
    (scores,) = session.run(None, {"codes": golden["codes_0"]})
    np.testing.assert_allclose(scores, golden["outputs_scores"], rtol=1e-4, atol=1e-5)


def test_a_client_can_read_ranges_and_points_from_the_configuration(tiny_bundle, tmp_path):
    written(tiny_bundle, tmp_path / "models")
    text = (tmp_path / "models/tiny/config.pbtxt").read_text()
    values = dict(
        zip(
            *[iter(line.split('"', 1)[1][:-1] for line in text.splitlines() if 'key: "' in line or "string_value" in line)] * 2,
            strict=True,
        )
    )
    said = {key: value.removesuffix('" ').replace('\\"', '"') for key, value in values.items()}
    assert said["isthmus.contract_digest"] == tiny_bundle.digest
    assert json.loads(said["isthmus.points"]) == {"all": [4], "half": [2]}
    assert json.loads(said["isthmus.boundary"]) == [{"name": "codes", "shape": [4, 4, 4], "bits": 4, "signed": True}]


def test_versions_stand_side_by_side_and_the_same_one_is_replaced(make_tiny_bundle, tmp_path):
    repository = tmp_path / "models"
    written(make_tiny_bundle(), repository)
    written(make_tiny_bundle(), repository, version=2)
    before = (repository / "tiny/1/model.onnx").read_bytes()
    other = make_tiny_bundle(seed=5)
    written(other, repository, version=2)
    assert (repository / "tiny/1/model.onnx").read_bytes() == before
    assert (repository / "tiny/2/model.onnx").read_bytes() == (other.folder / "tail.onnx").read_bytes()
    assert other.digest in (repository / "tiny/config.pbtxt").read_text()
    assert sorted(path.name for path in repository.iterdir()) == ["tiny", "tiny_whole"]


def test_the_unsplit_network_is_left_out_on_demand(tiny_bundle, tmp_path):
    assert [model.name for model in written(tiny_bundle, tmp_path / "models", with_whole=False)] == ["tiny"]


@pytest.mark.parametrize("version", ["1.2.0", "v2", "0", ""])
def test_a_version_that_is_no_number_is_refused(tiny_bundle, tmp_path, version):
    named = type(tiny_bundle)(
        folder=tiny_bundle.folder,
        manifest=tiny_bundle.manifest.model_copy(update={"version": version}),
        origin=tiny_bundle.origin,
    )
    with pytest.raises(UsageError, match="numbers versions from 1"):
        written(named, tmp_path / "models")
    assert written(named, tmp_path / "models", version=3)[0].version == 3


def test_a_folder_of_other_things_is_left_alone(tiny_bundle, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"no model repository: it holds notes\.txt"):
        written(tiny_bundle, tmp_path)
    assert files(tmp_path) == ["notes.txt"]


def test_a_file_is_no_repository(tiny_bundle, tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        written(tiny_bundle, tmp_path / "models")


def test_a_model_from_elsewhere_is_left_alone(tiny_bundle, tmp_path):
    (tmp_path / "tiny/1").mkdir(parents=True)
    (tmp_path / "tiny/config.pbtxt").write_text('name: "tiny"\nplatform: "tensorrt_plan"\n')
    with pytest.raises(ConfigError, match="was not written from a bundle"):
        written(tiny_bundle, tmp_path)
    assert files(tmp_path) == ["tiny/config.pbtxt"]


def test_models_beside_it_stay(tiny_bundle, tmp_path):
    (tmp_path / "other/1").mkdir(parents=True)
    (tmp_path / "other/1/model.plan").write_bytes(b"engine")
    written(tiny_bundle, tmp_path)
    assert "other/1/model.plan" in files(tmp_path)


def outlined(bundle, folder):
    """The bundle with the tail's weights in a file of their own."""
    folder.mkdir()
    tail = onnx.load(bundle.folder / "tail.onnx")
    onnx.save_model(tail, folder / "tail.onnx", save_as_external_data=True, location="tail.onnx.data", size_threshold=0)
    rest = {name: bundle.folder / name for name in bundle.manifest.files if name != "tail.onnx"}
    network = {name: folder / name for name in ("tail.onnx", "tail.onnx.data")}
    return write_bundle(folder / "bundle", bundle.manifest.model_copy(update={"files": {}}), {**rest, **network})


def test_weights_beside_the_network_come_along(tiny_bundle, tmp_path):
    large = open_bundle(outlined(tiny_bundle, tmp_path / "large").folder)
    written(large, tmp_path / "models")
    assert files(tmp_path / "models/tiny/1") == ["model.onnx", "tail.onnx.data"]
    session = onnxruntime.InferenceSession(tmp_path / "models/tiny/1/model.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"codes": np.zeros((2, 4, 4, 4), np.int8)})[0].shape == (2, 5)


def test_weights_that_the_bundle_lacks_are_named(tiny_bundle, tmp_path):
    large = outlined(tiny_bundle, tmp_path / "large")
    held = {name: entry for name, entry in large.manifest.files.items() if name != "tail.onnx.data"}
    without = type(large)(folder=large.folder, manifest=large.manifest.model_copy(update={"files": held}), origin=large.origin)
    with pytest.raises(BundleError, match=r"lacks tail\.onnx\.data"):
        written(without, tmp_path / "models")
    assert files(tmp_path / "models") == []
