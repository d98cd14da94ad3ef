"""The C core against its specification, and both against bytes that are not what they should be."""

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.codec import predictive
from isthmus.codec.planes import Layout
from isthmus.codec.predictive import NativeCoder, SpecifiedCoder, TensorCoding, coder
from isthmus.errors import LocalProtocolError, MalformedPayload, ReferenceMissing

native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")


@dataclass(frozen=True, slots=True)
class Case:
    tensors: tuple[TensorCoding, ...]
    symbols: np.ndarray
    reference: np.ndarray | None


def draw_symbols(random: np.random.Generator, layout: Layout) -> np.ndarray:
    """From all equal over smooth to noise."""
    top = 1 << layout.bits
    noise = random.integers(0, top, layout.size)
    smooth = (np.arange(layout.size) // 3) % top
    return [noise, smooth, np.full(layout.size, random.integers(0, top)), np.where(noise % 5, smooth, noise)][
        random.integers(0, 4)
    ].astype(np.uint8)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    return Layout(draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 8)))


@st.composite
def described(draw: st.DrawFn) -> tuple[list[Layout], int, bool]:
    return draw(st.lists(layouts(), min_size=1, max_size=3)), draw(st.integers(0, 2**32 - 1)), draw(st.booleans())


def make_case(make_table, described: tuple[list[Layout], int, bool]) -> Case:
    sizes, seed, temporal = described
    random = np.random.default_rng(seed)
    tensors = tuple(TensorCoding(one, make_table(seed + i, one, temporal=temporal)) for i, one in enumerate(sizes))
    drawn = [np.concatenate([draw_symbols(random, one) for one in sizes]) for _ in range(2)]
    return Case(tensors, drawn[0], drawn[1] if temporal else None)


@given(described=described())
@settings(max_examples=60)
def test_the_specification_decodes_what_it_encoded(make_table, described) -> None:
    case = make_case(make_table, described)
    specified = SpecifiedCoder(case.tensors)
    body = specified.encode(case.symbols, case.reference)
    assert specified.decode(memoryview(body), case.reference).tolist() == case.symbols.tolist()


@native
@pytest.mark.parametrize("layout", [Layout(1024, 1, 1, 8), Layout(1024, 1, 2, 1)])
def test_a_thousand_and_twenty_four_channels_are_coded_alike_by_both(make_table, layout) -> None:
    case = make_case(make_table, ([layout], 3, True))
    specified, fast = SpecifiedCoder(case.tensors), NativeCoder(case.tensors)
    body = specified.encode(case.symbols, case.reference)
    assert fast.encode(case.symbols, case.reference) == body
    assert fast.decode(memoryview(body), case.reference).tolist() == case.symbols.tolist()


@native
@given(described=described())
@settings(max_examples=150)
def test_the_c_core_writes_and_reads_the_bytes_of_the_specification(make_table, described) -> None:
    case = make_case(make_table, described)
    fast = NativeCoder(case.tensors)
    body = SpecifiedCoder(case.tensors).encode(case.symbols, case.reference)
    assert fast.encode(case.symbols, case.reference) == body
    assert fast.decode(memoryview(body), case.reference).tolist() == case.symbols.tolist()


@native
@given(described=described(), cut=st.integers(0, 200), flips=st.lists(st.integers(0, 2000), max_size=3))
@settings(max_examples=150)
def test_damaged_bodies_are_the_same_or_malformed_to_both(make_table, described, cut, flips) -> None:
    case = make_case(make_table, described)
    body = bytearray(NativeCoder(case.tensors).encode(case.symbols, case.reference)[: max(3, cut)])
    for bit in flips:
        body[bit // 8 % len(body)] ^= 1 << bit % 8
    found = []
    for made in (NativeCoder(case.tensors), SpecifiedCoder(case.tensors)):
        try:
            found.append(made.decode(memoryview(bytes(body)), case.reference).tolist())
        except MalformedPayload:
            found.append(None)
    assert found[0] == found[1]


@native
@given(body=st.binary(max_size=60), described=described())
def test_random_bodies_raise_only_our_error(make_table, body, described) -> None:
    case = make_case(make_table, described)
    with contextlib.suppress(MalformedPayload):
        found = NativeCoder(case.tensors).decode(memoryview(body), case.reference)
        assert NativeCoder(case.tensors).encode(found, case.reference) == body


@pytest.fixture(params=[SpecifiedCoder, pytest.param(NativeCoder, marks=native)])
def temporal(request, make_table):
    """A coder of one temporal tensor of six symbols, in both implementations."""
    layout = Layout(1, 2, 3, 4)
    return request.param([TensorCoding(layout, make_table(3, layout, temporal=True))])


SYMBOLS = np.array([0, 1, 2, 3, 4, 5], np.uint8)


def test_without_its_reference_a_temporal_body_is_refused(temporal) -> None:
    body = temporal.encode(SYMBOLS, SYMBOLS)
    with pytest.raises(ReferenceMissing, match="send a key frame"):
        temporal.decode(memoryview(body), None)


def test_truncations_and_trailing_bytes_are_malformed(temporal) -> None:
    body = temporal.encode(SYMBOLS, SYMBOLS)
    for wrong in [*(body[:length] for length in range(len(body))), body + b"\0"]:
        with pytest.raises(MalformedPayload, match="coded body"):
            temporal.decode(memoryview(wrong), SYMBOLS)


@native
@pytest.mark.parametrize("count", [0, 5, 7])
def test_the_c_core_refuses_frames_and_references_of_another_size(make_table, count) -> None:
    layout = Layout(1, 2, 3, 4)
    fast = NativeCoder([TensorCoding(layout, make_table(3, layout, temporal=True))])
    for arguments in ((np.zeros(count, np.uint8), SYMBOLS), (SYMBOLS, np.zeros(count, np.uint8))):
        with pytest.raises(ValueError, match=f"{count} bytes, the boundary has 6 symbols"):
            fast.encode(*arguments)


@native
def test_the_c_core_refuses_symbols_beyond_their_bits(make_table) -> None:
    layout = Layout(1, 2, 3, 4)
    fast = NativeCoder([TensorCoding(layout, make_table(3, layout, temporal=True))])
    for arguments in ((SYMBOLS + 11, SYMBOLS), (SYMBOLS, SYMBOLS + 11)):
        with pytest.raises(ValueError, match="too large"):
            fast.encode(*arguments)


@native
@given(seed=st.integers(0, 2**32 - 1), changes=st.lists(st.tuples(st.integers(0, 400), st.integers(-32768, 32767)), max_size=3))
def test_the_c_core_reads_the_tables_that_python_reads_and_no_others(make_table, seed, changes) -> None:
    from isthmus.codec import _native
    from isthmus.codec.table import read
    from isthmus.errors import BundleError

    words = make_table(seed, Layout(2, 2, 2, 1), temporal=bool(seed % 2)).words()
    for index, word in changes:
        words[index % len(words)] = word
    try:
        sound = len(read(words).channels) == 2
    except BundleError:
        sound = False
    try:
        _native.Coder(((2, 2, 2, words.tobytes()),))
    except ValueError:
        assert not sound
    else:
        assert sound


@native
@pytest.mark.parametrize("size", [(0, 2, 2), (2, -1, 2), (2, 2, 0), (2, 2**30, 2**30), (3, 2, 2)])
def test_the_c_core_refuses_sizes_that_are_not_the_tables(make_table, size) -> None:
    from isthmus.codec import _native

    with pytest.raises(ValueError, match="not a codec table"):
        _native.Coder(((*size, make_table(1, Layout(2, 2, 2, 1)).words().tobytes()),))


def test_without_the_c_core_python_takes_over_and_says_so(make_table, monkeypatch) -> None:
    monkeypatch.setattr(predictive, "IS_FAST", False)
    layout = Layout(1, 2, 3, 4)
    tensors = [TensorCoding(layout, make_table(3, layout))]
    assert isinstance(coder(tensors), SpecifiedCoder)
    with pytest.raises(LocalProtocolError, match="not built here"):
        NativeCoder(tensors)
