import dataclasses
import json

import numpy as np
import onnx_ir as ir
import pytest

from isthmus.codec import codec, predictive, tables
from isthmus.codec.codec import Codec, offered
from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.manifest import Port, Task
from isthmus.contract.metric import Metric, proportion
from isthmus.contract.picture import decode_picture, encode_picture
from isthmus.contract.prepare import Preparation, prepare
from isthmus.devices.runtime import Network
from isthmus.errors import ExportError
from isthmus.export import evaluate as evaluation
from isthmus.export import judging
from isthmus.export.evaluate import evaluate
from isthmus.export.exporter import ExportSettings, export
from isthmus.export.graph.session import Session
from isthmus.export.rivals import QUALITIES
from isthmus.export.samples import Samples, prepared

CLASSES = ("boot", "dress", "hat", "scarf", "shoe")
COLUMNS = {"setting", "bytes_mean", "metric", "device_mmac", "device_ms"}


@pytest.fixture(scope="module")
def samples():
    """Pictures larger than the input, of two points of colour each, labelled at random."""
    random = np.random.default_rng(5)
    pictures = [np.kron(random.integers(0, 256, (2, 2, 3), np.uint8), np.ones((12, 10, 1), np.uint8)) for _ in range(20)]
    return Samples(pictures=pictures, labels=random.integers(0, 5, 20), names=CLASSES, origin="colours")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, samples, skip_network):
    """The hand-made network with skips, its scores levelled, quantised to 2 bits at two tensors, so that answers do differ."""
    folder = tmp_path_factory.mktemp("evaluated")
    model = skip_network.clone()
    scores = Session(model).run({"x": prepared(samples.pictures, Preparation(width=8, height=8))})["answer"]
    bias = model.graph.initializers["b3"]
    bias.const_value = ir.tensor(bias.const_value.numpy() - scores.mean(0), name="b3")
    ir.save(model, folder / "skip.onnx")
    images = np.stack([picture[..., ::-1] for picture in samples.pictures])
    np.savez(folder / "data.npz", images=images, labels=samples.labels, names=CLASSES)
    settings = ExportSettings(cut="second", bottleneck="none", bits=2, data=folder / "data.npz")
    return export(str(folder / "skip.onnx"), folder / "bundle", settings).bundle


def whole_guesses(bundle, pictures):
    network = Network.load(bundle.path("whole.onnx"))
    scores = [network.run({"x": prepare(picture, bundle.manifest.preparation)})["answer"] for picture in pictures]
    return np.array([int(score.argmax()) for score in scores])


def split_guesses(bundle, pictures):
    """Guesses and payload sizes, step by step as head and tail do it."""
    manifest, found = bundle.manifest, tables.of_bundle(bundle)
    head, tail = Network.load(bundle.path("head.onnx")), Network.load(bundle.path("tail.onnx"))
    coder = Codec(manifest.boundary, manifest.points, offered(found), tables=found)
    guesses, sizes = [], []
    for picture in pictures:
        codes = head.run({"x": prepare(picture, manifest.preparation)})
        payload = coder.encode([codes["codes_0"][0], codes["codes_1"][0]])
        first, second = coder.decode(payload)
        guesses.append(int(tail.run({"codes_0": first[None], "codes_1": second[None]})["answer"].argmax()))
        sizes.append(len(payload))
    return np.array(guesses), sizes


def bundle_codes(bundle, pictures):
    head = Network.load(bundle.path("head.onnx"))
    answers = [head.run({"x": prepare(picture, bundle.manifest.preparation)}) for picture in pictures]
    return [[answer["codes_0"][0], answer["codes_1"][0]] for answer in answers]


def right(guesses, truth, name="accuracy"):
    return proportion(name, int((guesses == truth).sum()), len(truth))


def without_labels(samples):
    return dataclasses.replace(samples, labels=None, names=())


def test_answers_differ_among_pictures_and_between_whole_and_split(bundle, samples):
    whole, (split, _) = whole_guesses(bundle, samples.pictures), split_guesses(bundle, samples.pictures)
    assert len(set(whole)) > 2
    assert len(set(split)) > 2
    assert 0 < (whole == split).mean() < 1


@pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built")
def test_payloads_are_counted_as_devices_send_them(bundle, samples):
    results = evaluation.as_results(bundle, samples, [], "isthmus evaluate")
    assert results["meta"]["payloads"] == "key frames, the shortest of intra, zstd, raw"
    plain = Codec(bundle.manifest.boundary, bundle.manifest.points)
    codes = bundle_codes(bundle, samples.pictures)
    assert evaluate(bundle, samples, rivals=())[0].bytes_mean < 0.8 * np.mean([len(plain.encode(one)) for one in codes])


def test_where_the_c_core_is_missing_the_results_say_so(bundle, samples, monkeypatch):
    for module in (evaluation, codec):
        monkeypatch.setattr(module, "IS_FAST", False)
    results = evaluation.as_results(bundle, samples, [], "isthmus evaluate")
    assert results["meta"]["payloads"].startswith("key frames, the shortest of zstd, raw; intra would need")


def test_rows_have_the_columns_of_the_command_line(bundle, samples):
    rows = evaluate(bundle, samples)
    results = json.loads(json.dumps(evaluation.as_results(bundle, samples, rows, "isthmus evaluate")))
    assert results["meta"]["contract_digest"] == bundle.digest
    assert results["meta"]["metric"] == "top-1 accuracy"
    assert [next(iter(row.items())) for row in results["rows"][:2]] == [("point", "full"), ("rival", "local")]
    for row in results["rows"]:
        assert set(row) - {"point", "rival"} == COLUMNS
        assert Metric.model_validate(row["metric"]).name == "accuracy"


def test_the_point_is_measured_with_the_real_payloads(bundle, samples):
    (row,) = evaluate(bundle, samples, rivals=())
    guesses, sizes = split_guesses(bundle, samples.pictures)
    assert (row.metric, row.bytes_mean) == (right(guesses, samples.labels), np.mean(sizes))
    assert row.device_mmac == bundle.manifest.head.flops / 2e6
    assert row.device_ms > 0
    assert row.setting == "none 4+4ch"


def test_the_local_rival_is_the_whole_network(bundle, samples):
    row = evaluate(bundle, samples, rivals=("local",))[1]
    assert row.metric == right(whole_guesses(bundle, samples.pictures), samples.labels)
    assert (row.kind, row.name, row.bytes_mean) == ("rival", "local", 0.0)
    assert row.device_mmac == bundle.manifest.whole.flops / 2e6


def test_avif_takes_fewer_bytes_than_jpeg_of_the_same_quality(bundle, samples):
    rows = evaluate(bundle, samples, rivals=("jpeg", "avif"))[1:]
    sizes = {(row.name, row.setting): row.bytes_mean for row in rows}
    assert all(f"q{quality}" in {setting for name, setting in sizes if name == "avif"} for quality in QUALITIES["avif"])
    assert sizes["avif", "q35"] < sizes["jpeg", "q35"]


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_picture_rival_sends_real_bytes_and_answers_on_what_arrives(bundle, samples, name):
    everything = evaluate(bundle, samples, rivals=(name,))[1:]
    rows, shrunk = everything[::2], everything[1::2]
    assert [row.setting for row in rows] == [f"q{quality}" for quality in QUALITIES[name]]
    assert [row.setting.partition("@")[0] for row in shrunk] == [row.setting for row in rows]
    assert shrunk[-1].bytes_mean < rows[-1].bytes_mean
    coded = [encode_picture(picture, name, QUALITIES[name][0]) for picture in samples.pictures]
    arrived = [decode_picture(data, name, pixels_max=1 << 20) for data in coded]
    assert rows[0].metric == right(whole_guesses(bundle, arrived), samples.labels)
    assert rows[0].bytes_mean == np.mean([len(data) for data in coded])
    assert (rows[0].device_mmac, rows[0].device_ms) == (0.0, None)
    assert rows[0].bytes_mean < rows[-1].bytes_mean


def test_without_labels_agreement_with_the_whole_network_is_measured(bundle, samples):
    rows = evaluate(bundle, without_labels(samples), rivals=("local",))
    guesses, _ = split_guesses(bundle, samples.pictures)
    assert rows[0].metric == right(guesses, whole_guesses(bundle, samples.pictures), "agreement")
    assert rows[1].metric == proportion("agreement", 20, 20)


def test_classes_are_matched_by_name_not_by_place(bundle, samples):
    kept = np.flatnonzero(samples.labels >= 3)
    two = dataclasses.replace(samples.part(kept), labels=samples.labels[kept] - 3, names=CLASSES[3:])
    row = evaluate(bundle, two, rivals=("local",))[1]
    assert row.metric == right(whole_guesses(bundle, two.pictures), samples.labels[kept])


def test_classes_of_another_network_are_refused_in_one_line(bundle, samples):
    foreign = dataclasses.replace(samples, names=("boot", "dress", "hat", "scarf", "tie"))
    with pytest.raises(ExportError, match=r"has the classes boot, .*tie \(5\), .* gives 5 class scores \(boot") as refused:
        evaluate(bundle, foreign)
    assert "\n" not in str(refused.value)


def with_manifest(bundle, tmp_path, leave_out="", **changed):
    files = {name: bundle.path(name) for name in bundle.manifest.files if name != leave_out}
    return write_bundle(tmp_path / "changed", bundle.manifest.model_copy(update=changed), files)


def test_a_bundle_without_the_whole_network_is_refused(bundle, samples, tmp_path):
    with pytest.raises(ExportError, match=r"lacks whole\.onnx; it cannot be evaluated"):
        evaluate(with_manifest(bundle, tmp_path, leave_out="whole.onnx"), samples)


def test_a_bundle_that_takes_no_pictures_is_refused(bundle, samples, tmp_path):
    with pytest.raises(ExportError, match="takes no pictures"):
        evaluate(with_manifest(bundle, tmp_path, preparation=None), samples)


def test_a_bundle_without_class_names_takes_as_many_classes_as_it_has_scores(bundle, samples, tmp_path):
    unnamed = with_manifest(bundle, tmp_path, task=Task(kind="classification"))
    row = evaluate(unnamed, samples, rivals=("local",))[1]
    assert row.metric == right(whole_guesses(bundle, samples.pictures), samples.labels)


@pytest.mark.parametrize(("shape", "count"), [((None, 7), 7), ((None, None), 0), ((None, 4, 4), 0), ((7,), 0)])
def test_class_scores_are_told_by_their_shape(shape, count):
    assert judging.class_count(Port(name="y", datatype="FP32", shape=shape)) == count


def test_head_and_whole_network_are_timed_alike_without_the_preparation(bundle, samples, monkeypatch):
    now = [0.0]

    def slow(*arguments):
        now[0] += 50.0
        return prepare(*arguments)

    def clock():
        now[0] += 0.5
        return now[0]

    monkeypatch.setattr(evaluation, "prepare", slow)
    monkeypatch.setattr(evaluation.time, "perf_counter", clock)
    assert [row.device_ms for row in evaluate(bundle, samples, rivals=("local",))] == [500.0, 500.0]


def test_progress_names_what_is_measured(bundle, samples):
    said = []
    evaluate(bundle, samples.part(np.arange(2)), rivals=("local", "webp"), on_step=said.append)
    assert said == ["point full", "rival local", *(f"rival webp {quality}" for quality in QUALITIES["webp"])]
