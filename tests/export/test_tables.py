import numpy as np
import pytest

from isthmus.codec import predictive
from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.codec.tables import CodecTables
from isthmus.contract.prepare import Preparation
from isthmus.export import tables
from isthmus.export.bottlenecks import pca, points
from isthmus.export.bottlenecks.halves import assembled
from isthmus.export.cutting import cuts
from isthmus.export.cutting.split import split
from isthmus.export.samples import Samples

PREPARATION = Preparation(width=8, height=8)
RANDOM = np.random.default_rng(3)
SAMPLES = Samples(
    pictures=[np.kron(RANDOM.integers(0, 256, (2, 2, 3), np.uint8), np.ones((4, 4, 1), np.uint8)) for _ in range(60)],
    labels=None,
    names=(),
    origin="colours",
)
PLAIN, LEARNED = {Mode.RAW, Mode.ZSTD}, {Mode.INTRA, Mode.TEMPORAL}


@pytest.fixture(scope="module")
def made(skip_network):
    """Both halves with four principal components between them, and their points: full (4), half (2), quarter (1)."""
    halves = split(skip_network, cuts.find(cuts.enumerate(skip_network), "first"))
    bottlenecks = pca.projected(halves, SAMPLES, PREPARATION, channels=4, bits=4)
    return assembled(halves, bottlenecks), points.of(bottlenecks)


@pytest.fixture(scope="module")
def learned(made):
    return tables.learned(*made, SAMPLES, PREPARATION)


@pytest.fixture(scope="module")
def codes(made):
    return [np.stack([frame[0] for frame in tables._codes(made[0], SAMPLES.pictures[:3], PREPARATION)])]


def test_every_point_gets_tables_of_both_modes(made, learned) -> None:
    assert set(learned.tables) == {(index, mode) for index in range(3) for mode in LEARNED}
    assert [len(learned.tables[index, Mode.INTRA][0].channels) for index in range(3)] == [4, 2, 1]


def test_what_they_learned_makes_payloads_of_other_pictures_shorter(made, learned) -> None:
    (coded, found), other = made, Samples(pictures=SAMPLES.pictures[40:], labels=None, names=(), origin="")
    few = tables.learned(coded, found, SAMPLES.part(np.arange(40)), PREPARATION)
    frames = tables._codes(coded, other.pictures, PREPARATION)
    with_tables, without = Codec(coded.boundary, found, tables=few), Codec(coded.boundary, found)
    assert sum(len(with_tables.encode(one)) for one in frames) < 0.8 * sum(len(without.encode(one)) for one in frames)


def test_the_user_is_told_on_how_many_pictures(made) -> None:
    said = []
    tables.learned(*made, SAMPLES, PREPARATION, on_step=said.append)
    assert said == ["learning the codec's tables on 60 pictures"]


@pytest.mark.parametrize(("flops", "count"), [(1e11, 20), (1, 10)])
def test_pictures_are_as_many_as_codes_and_arithmetic_allow(made, monkeypatch, flops, count) -> None:
    monkeypatch.setattr(tables, "LEARNED_CODES", 20 * 4 * 64)
    monkeypatch.setattr(tables, "PICTURES", (5, 40))
    monkeypatch.setattr(tables, "HEAD_FLOPS", flops)
    said = []
    tables.learned(*made, SAMPLES, PREPARATION, on_step=said.append)
    assert said == [f"learning the codec's tables on {count} pictures"]


@pytest.mark.parametrize("limit", [("CHANNELS_MAX", 2), ("CODES_MAX", 128)])
def test_a_point_that_is_far_too_wide_goes_without(made, monkeypatch, limit) -> None:
    monkeypatch.setattr(tables, *limit)
    said = []
    found = tables.learned(*made, SAMPLES, PREPARATION, on_step=said.append)
    assert {index for index, _ in found.tables} == {1, 2}
    assert said[0].startswith("no codec tables for point full: 4 channels, 256 codes; up to")


def test_where_all_points_are_too_wide_the_head_does_not_run(made, monkeypatch) -> None:
    monkeypatch.setattr(tables, "CHANNELS_MAX", 0)
    monkeypatch.setattr(tables, "_codes", None)
    assert tables.learned(*made, SAMPLES, PREPARATION).modes == ()


def test_golden_payloads_are_of_every_mode_frame_and_point(made, learned, codes) -> None:
    coded, found = made
    payloads = tables.golden_payloads(codes, coded.boundary, found, learned)
    assert set(payloads) == {(mode, frame, point) for mode in PLAIN | LEARNED for frame in range(3) for point in range(3)}
    assert all(payloads[key][0] == key[0] for key in payloads if key[0] in LEARNED and key[2] == 0)


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_golden_temporal_payload_builds_on_the_frame_before_the_first_on_the_last(made, learned, codes, frame) -> None:
    coded, found = made
    codec = Codec(coded.boundary, found, tables=learned)
    payload = tables.golden_payloads(codes, coded.boundary, found, learned)[Mode.TEMPORAL, frame, 1]
    before = codec.kept([codes[0][frame - 1]], point=1)
    (decoded,) = codec.decode(payload, point=1, reference=before)
    np.testing.assert_array_equal(decoded[:2], codes[0][frame][:2])


def test_golden_payloads_are_the_same_without_the_c_core(made, learned, codes, monkeypatch) -> None:
    coded, found = made
    wanted = tables.golden_payloads(codes, coded.boundary, found, learned)
    monkeypatch.setattr(predictive, "IS_FAST", False)
    assert tables.golden_payloads(codes, coded.boundary, found, learned) == wanted


def test_of_wide_frames_few_golden_payloads_need_tables(made, learned, codes, monkeypatch) -> None:
    monkeypatch.setattr(tables, "GOLDEN_CODES", 300)
    coded, found = made
    payloads = tables.golden_payloads(codes, coded.boundary, found, learned)
    assert [sum(key[0] is Mode.INTRA and key[2] == point for key in payloads) for point in range(3)] == [1, 2, 3]
    assert sum(key[0] is Mode.RAW for key in payloads) == 9


def test_without_tables_golden_payloads_are_raw_and_zstd(made, codes) -> None:
    coded, found = made
    payloads = tables.golden_payloads(codes, coded.boundary, found, CodecTables())
    assert {mode for mode, _, _ in payloads} == PLAIN
