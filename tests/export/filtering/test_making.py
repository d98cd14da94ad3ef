import pytest

from isthmus.contract.bundle import open_bundle
from isthmus.contract.filter import FILTER
from isthmus.contract.sealing import sign_bundle
from isthmus.devices import golden
from isthmus.devices.filtering import FilterNetwork
from isthmus.errors import BundleError, ExportError
from isthmus.export.filtering import footage as reading
from isthmus.export.filtering import making
from isthmus.export.filtering.labels import SourceLabels
from isthmus.export.filtering.making import FilterSettings

EVENTS = [(first, first + 9) for first in range(10, 610, 30)]
"""Twenty, a second long and two apart."""


def make(bundle, output, drawn, **settings):
    film = reading.read(bundle, drawn, SourceLabels())
    chosen = FilterSettings(**{"recall_min": 0.6, "pause_s": 0.5, "steps": 150, "nothing": ("a",), **settings})
    parts = making.part_films([film], chosen.pause_s)
    return making.make(bundle, output, parts, chosen, labels="drawn", film=["drawn.mp4"], parting_words="in time")


@pytest.fixture(scope="module")
def source(make_tiny_bundle, make_key):
    """A signed bundle without a filter."""
    return sign_bundle(make_tiny_bundle(tables=True).folder, make_key(1))


@pytest.fixture(scope="module")
def made(source, footage, tmp_path_factory):
    return make(source, tmp_path_factory.mktemp("made") / "b.isthmus", footage(620, EVENTS))


def test_a_filter_tells_what_is_drawn_from_nothing_and_keeps_its_promise(made):
    record = made.manifest.filter
    _, calibration, test = record.figures
    assert (calibration.events, test.events, record.certified) == (8, 4, True)
    assert record.recall_shown >= 0.6
    assert test.recall_events.value == 1.0
    assert test.recall_frames > 0.9
    assert test.empty_dropped > 0.9
    assert test.auc > 0.95
    assert test.payload_bytes > 0
    assert record.presence.names == ("a",)
    assert min(record.filter_us, record.head_us, record.encode_us, record.flops, record.parameters) > 0


def test_the_bundle_is_whole_and_its_golden_scores_are_checked(source, made):
    opened = open_bundle(made.origin)
    frames = golden.read(opened)
    assert golden.check_filter(opened, frames, FilterNetwork(opened)).value < 1e-6
    golden.check_codec(opened, frames)
    assert opened.digest != source.digest
    assert [gate.name for gate in opened.manifest.gates] == ["filter equals torch"]


def test_an_old_signature_does_not_come_along(source, made):
    assert (source.folder / "manifest.sig").exists()
    assert not (made.folder / "manifest.sig").exists()


def test_a_filter_is_replaced_and_two_of_one_seed_are_the_same(source, made, footage, tmp_path):
    again = make(made, tmp_path / "again", footage(620, EVENTS))
    assert again.manifest.files[FILTER] == made.manifest.files[FILTER]
    assert len(again.manifest.gates) == 1
    other = make(source, tmp_path / "other", footage(620, EVENTS), seed=1)
    assert other.manifest.files[FILTER] != made.manifest.files[FILTER]


def test_too_few_events_end_it_before_training_and_nothing_is_written(source, footage, tmp_path, monkeypatch):
    monkeypatch.setattr(making.training, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ExportError, match="calibration part has 2 events"):
        make(source, tmp_path / "b", footage(200, EVENTS[:5]))
    assert not (tmp_path / "b").exists()


def test_without_a_certificate_the_record_says_so(source, footage, tmp_path):
    record = make(source, tmp_path / "b", footage(200, EVENTS[:5]), uncertified=True).manifest.filter
    assert record.promise == "not certified: with 95% confidence at least 22.4% of the events pass, 60.0% were wanted"


def test_a_filter_that_was_tampered_with_is_refused(made, footage, tmp_path):
    copied = make(made, tmp_path / "b", footage(200, EVENTS[:5]), uncertified=True, steps=1)
    data = bytearray(copied.path(FILTER).read_bytes())
    data[len(data) // 2] ^= 1
    copied.path(FILTER).write_bytes(data)
    with pytest.raises(BundleError, match=r"damaged: filter\.onnx has SHA-256"):
        open_bundle(copied.folder)


def test_another_threshold_is_another_manifest_and_not_another_contract(made):
    record = made.manifest.filter.model_copy(update={"threshold": 9.0})
    assert made.manifest.model_copy(update={"filter": record}).computed_digest() == made.digest


@pytest.mark.parametrize("field", ["recall_min", "confidence"])
def test_a_share_that_is_none_is_refused(field):
    with pytest.raises(ExportError, match="has to lie between 0 and 1"):
        FilterSettings(**{field: 1.0})
