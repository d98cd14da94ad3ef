"""The codec's benchmark: rivals, the context mixer, and the page, on codes that no network had to make."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec.analysis import Batch
from isthmus.codec.training import train_table

SHAPE = (3, 6, 7)
FILMS = ("desk fixed", "desk moving", "door fixed", "door moving")


@pytest.fixture
def codec(program):
    """A function that imports a module of the benchmark."""
    return lambda name: program(f"benchmarks.codec.{name}")


def walks(seed, count, shape=SHAPE):
    """Codes int8[count, *shape] that go along with their neighbours."""
    steps = np.random.default_rng(seed).normal(0, 1, (count, *shape))
    return np.clip(np.rint(steps.cumsum(-1).cumsum(-2)), -8, 7).astype(np.int8)


def noise(seed, count):
    """Symbols int32[count, ...] that nothing tells anything of."""
    return np.random.default_rng(seed).integers(0, 16, (count, *SHAPE), dtype=np.int32)


@given(shape=st.tuples(st.integers(1, 13), st.integers(1, 5), st.integers(1, 5)))
def test_tiles_come_back(shape) -> None:
    from benchmarks.codec import rivals

    symbols = np.random.default_rng(0).integers(0, 16, shape, dtype=np.uint8)
    assert np.array_equal(rivals.untile(rivals.tile(symbols), shape), symbols)


def test_entropy_is_that_of_the_channels(codec) -> None:
    halves = np.stack([np.arange(64, dtype=np.uint8).reshape(8, 8) % 2, np.full((8, 8), 9, np.uint8)])
    assert codec("rivals").entropy_bytes(halves) == 64 / 8


def test_general_compressors_may_take_two_symbols_a_byte(codec) -> None:
    frame = noise(0, 1)[0].astype(np.uint8)
    assert codec("rivals").shorter(bytes, 4)(frame) == frame.size // 2
    assert codec("rivals").shorter(bytes, 5)(frame) == frame.size


def test_the_cheapest_lossy_rival_must_be_as_good(codec) -> None:
    rows = [{"bytes": 10.0, "score": 0.5}, {"bytes": 30.0, "score": 0.9}, {"bytes": 20.0, "score": 0.895}]
    assert codec("lossy").cheapest(rows, 0.9) == 20
    assert codec("lossy").cheapest(rows, 0.95) is None


def test_the_mixer_cannot_see_what_it_codes(codec) -> None:
    """Noise costs its bits: a context that knew the symbol would make it cheap."""
    train, test = Batch(noise(1, 40)), Batch(noise(2, 40))
    learning, fixed = codec("mixing").bytes_of(train, test, train_table(train, 4))
    assert min(learning, fixed) > 0.99 * test.now[0].size / 2


def test_the_mixer_finds_what_the_codec_finds(codec) -> None:
    train, test = (Batch(walks(seed, 200).astype(np.int32) + 8) for seed in (1, 2))
    learning, _ = codec("mixing").bytes_of(train, test, train_table(train, 4))
    assert learning < 0.8 * test.now[0].size / 2


@pytest.fixture
def folder(codec, tmp_path):
    """Material of a bottleneck with films, as training would leave it."""
    arrays = {"train": walks(0, 60), "test": walks(1, 8)}
    arrays |= {name: np.repeat(walks(index, 10), 4, axis=0) for index, name in enumerate(FILMS)}
    np.savez(tmp_path / "mobilenet-s16-c3.npz", **arrays)
    planes = [{"format": "JPEG", "quality": 50, "bytes": 99.0, "score": 0.9}]
    facts = {"judged": "the label", "whole": 1.0, "score": 0.9, "exact": 0.9, "planes": planes, "steps": 1}
    (tmp_path / "mobilenet-s16-c3.json").write_text(json.dumps({**facts, "films": dict.fromkeys(FILMS, 0.9)}))
    curve = [{"factor": 30, "scale": 1.0, "bytes": 500.0, "score": 0.95}]
    (tmp_path / "MobileNetV2.films.json").write_text(json.dumps(dict.fromkeys(FILMS, curve)))
    return tmp_path


def test_codes_become_sizes_times_and_a_page(codec, folder, monkeypatch) -> None:
    monkeypatch.setattr(codec("timing"), "ROUNDS", 2)
    entries = codec("results").measure(folder, ["mobilenet-s16-c3"], lambda _what: None)
    (entry,) = entries
    assert entry["stills"]["isthmus intra"] < entry["stills"]["isthmus raw"] == 3 * 6 * 7 / 2 + 5
    assert entry["times"]["memory KiB"][0] > 0
    # Three of four frames stand still.
    assert entry["films"]["desk fixed"]["isthmus temporal"] < 0.8 * entry["films"]["desk fixed"]["isthmus intra"]
    page = codec("page").write(folder, folder, entries).read_text()
    assert "| H.265 of the picture at equal answers, fixed camera: `temporal` over it | 1.000 | 0." in page
    assert "(codec-stills.svg)" in page
    assert (folder / "codec-films.svg").read_text().startswith("<svg")
