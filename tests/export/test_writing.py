import dataclasses
import json

import numpy as np
import pytest

from isthmus.codec.tables import FILE_NAME, CodecTables
from isthmus.contract.bundle import open_bundle
from isthmus.contract.manifest import Int8Head
from isthmus.contract.metric import proportion
from isthmus.contract.prepare import Preparation
from isthmus.devices import golden
from isthmus.devices.golden import HEAD, INT8_HEAD
from isthmus.devices.runtime import Network
from isthmus.errors import ExportError
from isthmus.export import writing
from isthmus.export.bottlenecks import plain
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.int8 import attempt as int8
from isthmus.export.int8.attempt import Candidate
from isthmus.export.record import Making
from isthmus.export.samples import Samples, prepared
from isthmus.export.settings import ExportSettings

PREPARATION = Preparation(width=16, height=16)
SAMPLES = Samples(
    pictures=list(np.random.default_rng(2).integers(0, 256, (40, 16, 16, 3), np.uint8)), labels=None, names=(), origin="noise"
)


@pytest.fixture(scope="module")
def making(residual_source):
    cut = cuts.find(cuts.enumerate(residual_source.model), "relu6")
    halves = split(residual_source.model, cut)
    bottlenecks = tuple(plain.quantised(halves, SAMPLES, PREPARATION, bits=6))
    coded = assembled(halves, bottlenecks)
    frames = prepared(SAMPLES.pictures[:6], PREPARATION)
    plan = int8.qdq.plan(coded.head, (one[None] for one in frames))
    record = Int8Head(shipped=True, activations="uint8", float_ms=2.0, int8_ms=1.0, changed_code_share=0.1)
    return Making(
        settings=ExportSettings(cut="relu6", bottleneck="none"),
        source=residual_source,
        detector=None,
        preparation=PREPARATION,
        cut=cut,
        bottlenecks=bottlenecks,
        coded=coded,
        int8=Candidate(model=int8.qdq.applied(plan, coded.boundary, "uint8"), record=record),
        local=None,
        tables=CodecTables(),
        learned=None,
        data=SAMPLES,
        held_out=SAMPLES,
        frames=frames,
        gates=(),
    )


def written(making, tmp_path, **settings):
    made = dataclasses.replace(making, settings=dataclasses.replace(making.settings, **settings))
    said = []
    writing.write(tmp_path / "made", made, said.append)
    bundle = open_bundle(tmp_path / "made")
    return bundle, json.loads((bundle.folder / "evaluation.json").read_text()), said


def scored(monkeypatch, **shares):
    """Let the heads be right in given shares of a thousand pictures."""
    real = writing.evaluate

    def evaluate(*given, **named):
        kinds = {HEAD: "float", INT8_HEAD: "int8", "": "float"}
        rows = real(*given, **named)
        return [
            dataclasses.replace(row, metric=proportion("agreement", round(1000 * shares[kinds[row.head]]), 1000)) for row in rows
        ]

    monkeypatch.setattr(writing, "evaluate", evaluate)


def test_both_heads_are_in_the_bundle_measured_and_checked(making, tmp_path, monkeypatch):
    scored(monkeypatch, float=0.9, int8=0.895)
    bundle, results, _ = written(making, tmp_path)
    assert bundle.has(INT8_HEAD)
    assert [row["setting"] for row in results["rows"][:2]] == ["none 4ch, int8 head", "none 4ch, float head"]
    record = bundle.manifest.int8
    assert (record.float_metric.value, record.int8_metric.value, record.reason) == (0.9, 0.895, "")
    frames = golden.read(bundle)
    for name, gate in ((HEAD, "head codes"), (INT8_HEAD, "int8 head codes")):
        assert golden.check_head(bundle, frames, Network.load(bundle.path(name))).name == gate


def test_the_points_bytes_are_those_of_the_head_that_runs(making, tmp_path, monkeypatch):
    real, sizes = writing.evaluate, {INT8_HEAD: 111.0, HEAD: 222.0, "": 0.0}
    monkeypatch.setattr(
        writing, "evaluate", lambda *a, **b: [dataclasses.replace(row, bytes_mean=sizes[row.head]) for row in real(*a, **b)]
    )
    assert written(making, tmp_path)[0].manifest.points[0].bytes_mean == 111.0


def test_an_int8_head_that_is_worse_beyond_chance_is_not_shipped(making, tmp_path, monkeypatch):
    scored(monkeypatch, float=0.9, int8=0.8)
    bundle, results, said = written(making, tmp_path)
    assert not bundle.has(INT8_HEAD)
    assert not bundle.manifest.int8.shipped
    assert [row["setting"] for row in results["rows"]] == ["none 4ch, float head", "whole"]
    assert results["meta"]["contract_digest"] == bundle.digest
    assert "its agreement is 80.0%, that of the float head 90.0%, at least 88.0%" in bundle.manifest.int8.reason
    assert any(words.startswith("int8 head not shipped: its agreement") for words in said)
    golden.check_head(bundle, golden.read(bundle), Network.load(bundle.path(HEAD)))


def test_a_worse_int8_head_is_shipped_where_it_is_wanted(making, tmp_path, monkeypatch):
    scored(monkeypatch, float=0.9, int8=0.8)
    bundle, _, said = written(making, tmp_path, int8="on")
    assert bundle.manifest.int8.shipped
    assert bundle.has(INT8_HEAD)
    assert any(words.startswith("int8 head shipped, though its agreement") for words in said)


def test_a_bundle_without_codec_tables_is_written_and_sound(making, tmp_path):
    bundle, results, _ = written(making, tmp_path)
    assert not bundle.has(FILE_NAME)
    assert results["meta"]["payloads"] == "key frames, the shortest of zstd, raw"
    golden.check_codec(bundle, golden.read(bundle))


def test_dear_networks_are_measured_on_fewer_pictures(making, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MEASURED_FLOPS", 1)
    monkeypatch.setattr(writing, "MEASURED_MIN", 7)
    _, results, said = written(making, tmp_path)
    assert results["meta"]["samples"] == 7
    assert "measuring on 7 of 40 pictures that training did not see" in said


def test_a_full_disk_of_temporary_files_is_one_line(making, tmp_path, monkeypatch):
    def fill(_model, _path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.weights, "save", fill)
    with pytest.raises(ExportError, match=r"cannot write the networks to .*: No space left on device; set TMPDIR"):
        written(making, tmp_path)
