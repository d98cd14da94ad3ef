"""A short fuzz with a fixed seed: changed tables, references and bodies never get past the errors that are documented."""

from pathlib import Path

import numpy as np
import pytest

from isthmus.codec import predictive
from isthmus.codec.planes import Layout
from isthmus.codec.predictive import NativeCoder, SpecifiedCoder, TensorCoding
from isthmus.codec.table import Table, read
from isthmus.errors import BundleError, MalformedPayload

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
ROUNDS = 400
native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")


def split(data: bytes) -> tuple[Layout, Table, np.ndarray | None, bytes]:
    """An input of the fuzzer (see fuzz/decode.c)."""
    end = 5 + 2 * int.from_bytes(data[3:5], "little")
    table = read(np.frombuffer(data[5:end], "<i2").astype(np.int16))
    layout = Layout(*data[:3], table.bits)
    size = layout.size if table.temporal else 0
    reference = np.frombuffer(data[end : end + size], np.uint8) if table.temporal else None
    return layout, table, reference, data[end + size :]


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """A few bytes changed, cut out, repeated or put in."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 4)):
        place = int(random.integers(0, len(changed) + 1))
        kind, length = random.integers(0, 4), int(random.integers(1, 9))
        if kind == 0 and place < len(changed):
            changed[place] = int(random.integers(0, 256))
        elif kind == 1:
            del changed[place : place + length]
        elif kind == 2:
            changed[place:place] = changed[place : place + length]
        else:
            changed[place:place] = random.bytes(length)
    return bytes(changed)


def test_the_corpus_holds_sound_inputs() -> None:
    assert len(CORPUS) == 9
    for path in CORPUS:
        layout, table, reference, body = split(path.read_bytes())
        assert SpecifiedCoder([TensorCoding(layout, table)]).decode(memoryview(body), reference).size == layout.size


@native
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_changed_bodies_are_malformed_or_the_only_bodies_of_their_frames(path: Path) -> None:
    layout, table, reference, body = split(path.read_bytes())
    random = np.random.default_rng(7)
    coder = NativeCoder([TensorCoding(layout, table)])
    for _ in range(ROUNDS):
        wrong = mutate(body, random)
        try:
            found = coder.decode(memoryview(wrong), reference)
        except MalformedPayload:
            continue
        assert coder.encode(found, reference) == wrong


@native
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_changed_tables_are_refused_by_both_or_by_neither(path: Path) -> None:
    layout, table, _, _ = split(path.read_bytes())
    words = table.words()
    random = np.random.default_rng(8)
    for _ in range(ROUNDS):
        data = mutate(words.tobytes(), random)
        data = data[: len(data) // 2 * 2]
        try:
            made = read(np.frombuffer(data, np.int16))
            sound = len(made.channels) == layout.channels
        except BundleError:
            sound = False
        try:
            predictive._native.Coder(((*layout.shape, data),))
        except ValueError:
            assert not sound
        else:
            assert sound
