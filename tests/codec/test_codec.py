import zlib
from dataclasses import dataclass

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codec import payload, raw, zstd
from isthmus.codec.codec import OVERHEAD_MAX_BYTES, Codec, names, negotiate, offered
from isthmus.codec.payload import Mode
from isthmus.codec.tables import CodecTables
from isthmus.codec.training import train_tables
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint
from isthmus.errors import (
    BundleError,
    ContractMismatch,
    IsthmusError,
    LimitExceeded,
    MalformedPayload,
    ReferenceMissing,
    RemoteProtocolError,
)

MODES = [(), (Mode.RAW,), (Mode.ZSTD,), (Mode.RAW, Mode.ZSTD)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    boundary: Boundary
    point: OperatingPoint
    codes: tuple[np.ndarray, ...]

    @property
    def codec(self) -> Codec:
        return Codec(self.boundary, [self.point])


@st.composite
def tensors(draw: st.DrawFn, name: str) -> CodeTensor:
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    return CodeTensor(name=name, shape=shape, bits=draw(st.integers(1, 8)), signed=draw(st.booleans()))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any boundary of one to four tensors, any point of it, and codes from all equal to uniformly random."""
    crossing = tuple(draw(tensors(f"t{index}")) for index in range(draw(st.integers(1, 4))))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.floats(0, 1))
    codes = tuple((random.integers(one.lowest, one.highest + 1, one.shape) * spread).astype(one.dtype) for one in crossing)
    channels = tuple(draw(st.integers(1, one.channels)) for one in crossing)
    return Case(boundary=Boundary(tensors=crossing), point=OperatingPoint(name="p", channels=channels), codes=codes)


@given(case=cases(), modes=st.sampled_from(MODES))
def test_decode_gives_the_codes_with_zeros_beyond_the_point(case: Case, modes: tuple[Mode, ...]) -> None:
    codec = Codec(case.boundary, [case.point], modes)
    back = codec.decode(codec.encode(case.codes))
    for sent, channels, got in zip(case.codes, case.point.channels, back, strict=True):
        assert got.dtype == sent.dtype
        assert (got[:channels] == sent[:channels]).all()
        assert not got[channels:].any()
        assert got.shape == sent.shape


@given(case=cases())
def test_no_payload_is_longer_than_raw_and_its_envelope(case: Case) -> None:
    data = case.codec.encode(case.codes)
    assert len(data) <= raw.body_bytes(case.boundary, case.point) + payload.OVERHEAD_BYTES


@given(case=cases())
def test_encoding_twice_gives_the_same_bytes(case: Case) -> None:
    assert case.codec.encode(case.codes) == case.codec.encode(case.codes)


BOUNDARY = Boundary(tensors=(CodeTensor(name="a", shape=(4, 16, 16), bits=4), CodeTensor(name="b", shape=(3,), bits=7)))
POINTS = [OperatingPoint(name="full", channels=(4, 3)), OperatingPoint(name="half", channels=(2, 1))]
CODEC = Codec(BOUNDARY, POINTS)


def smooth() -> list[np.ndarray]:
    rows, columns = np.mgrid[0:16, 0:16]
    return [np.stack([(rows + columns) // 8] * 4).astype(np.int8), np.array([1, -64, 63], np.int8)]


def rough() -> list[np.ndarray]:
    return [np.random.default_rng(5).integers(-8, 8, (4, 16, 16)).astype(np.int8), np.array([1, -64, 63], np.int8)]


def test_smooth_codes_go_out_as_zstd_and_rough_ones_as_raw() -> None:
    assert payload.unpack(CODEC.encode(smooth()))[0] is Mode.ZSTD
    assert payload.unpack(CODEC.encode(rough()))[0] is Mode.RAW


def test_golden_raw_payload_of_a_small_boundary() -> None:
    tiny = Boundary(tensors=(CodeTensor(name="a", shape=(2, 2), bits=2),))
    codec = Codec(tiny, [OperatingPoint(name="full", channels=(2,)), OperatingPoint(name="half", channels=(1,))])
    codes = [np.array([[-2, -1], [0, 1]], np.int8)]
    assert codec.encode(codes).hex() == "011b52eaa7d2"
    assert codec.encode(codes, point=1).hex() == "0110da337545"
    assert codec.decode(bytes.fromhex("0110da337545"), point=1)[0].tolist() == [[-2, -1], [0, 0]]


@pytest.mark.parametrize("codes", [smooth(), rough()], ids=["zstd", "raw"])
def test_every_flipped_bit_is_refused(codes: list[np.ndarray]) -> None:
    data = CODEC.encode(codes, point=1)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedPayload, LimitExceeded)):
            CODEC.decode(bytes(damaged), point=1)


@pytest.mark.parametrize("codes", [smooth(), rough()], ids=["zstd", "raw"])
def test_every_truncation_and_every_trailing_byte_is_refused(codes: list[np.ndarray]) -> None:
    data = CODEC.encode(codes)
    for wrong in [*(data[:length] for length in range(len(data))), data + b"\0", data + data, data + bytes(10_000)]:
        with pytest.raises((MalformedPayload, LimitExceeded)):
            CODEC.decode(wrong)


def sealed(mode: int, body: bytes) -> bytes:
    """A payload with a right checksum: what a hostile peer sends, not a faulty link."""
    head = bytes([mode]) + body
    return head + zlib.crc32(head).to_bytes(4, "little")


@given(mode=st.sampled_from([Mode.RAW, Mode.ZSTD]), body=st.binary(max_size=600), point=st.integers(0, 1))
def test_any_sealed_body_gives_codes_of_the_boundary_or_our_error(mode: Mode, body: bytes, point: int) -> None:
    try:
        BOUNDARY.check(CODEC.decode(sealed(mode, body), point=point))
    except ContractMismatch:
        raise
    except IsthmusError:
        pass


@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_and_sealed_zstd_body_gives_codes_of_the_boundary_or_our_error(place: int, value: int) -> None:
    body = bytearray(payload.unpack(CODEC.encode(smooth()))[1])
    body[place % len(body)] = value
    try:
        BOUNDARY.check(CODEC.decode(sealed(Mode.ZSTD, bytes(body))))
    except ContractMismatch:
        raise
    except IsthmusError:
        pass


def test_a_payload_longer_than_any_of_its_point_passes_the_limit_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(payload, "unpack")
    longest = raw.body_bytes(BOUNDARY, POINTS[1]) + OVERHEAD_MAX_BYTES + payload.OVERHEAD_BYTES
    with pytest.raises(LimitExceeded, match=f"none is longer than {longest}"):
        CODEC.decode(bytes(longest + 1), point=1)


def test_a_full_payload_said_to_be_of_the_half_point_is_refused() -> None:
    for codes in (smooth(), rough()):
        with pytest.raises((MalformedPayload, LimitExceeded)):
            CODEC.decode(CODEC.encode(codes, point=0), point=1)


def test_a_zstd_body_whose_symbols_pass_their_bits_is_malformed() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=0)
    body = zstandard.ZstdCompressor(compression_params=parameters).compress(bytes([200]) * (4 * 256 + 3))
    with pytest.raises(MalformedPayload, match="4 bits allow 15"):
        CODEC.decode(sealed(Mode.ZSTD, body))


def test_a_bomb_is_refused() -> None:
    bomb = zstd.encode(np.zeros(1 << 24, np.uint8))
    with pytest.raises((MalformedPayload, LimitExceeded)):
        CODEC.decode(sealed(Mode.ZSTD, bomb))


@pytest.mark.parametrize("mode", [0, 5, 99, 255])
def test_a_mode_nobody_knows_is_malformed(mode: int) -> None:
    with pytest.raises(MalformedPayload, match=f"payload mode {mode} is unknown"):
        CODEC.decode(sealed(mode, b"body"))


@pytest.mark.parametrize("mode", [Mode.INTRA, Mode.TEMPORAL, Mode.HIDDEN_INT4])
def test_a_known_mode_that_is_not_built_in_was_not_agreed_on(mode: Mode) -> None:
    with pytest.raises(MalformedPayload, match="not agreed on; agreed: raw, zstd"):
        CODEC.decode(sealed(mode, b"body"))


def test_a_mode_that_was_not_negotiated_is_malformed() -> None:
    data = CODEC.encode(smooth())
    with pytest.raises(MalformedPayload, match="payload mode zstd was not agreed on; agreed: raw"):
        Codec(BOUNDARY, POINTS, [Mode.RAW]).decode(data)


@pytest.mark.parametrize("point", [-1, 2, 2**32 - 1])
def test_a_point_that_does_not_exist_is_refused(point: int) -> None:
    with pytest.raises(RemoteProtocolError, match="does not exist"):
        CODEC.decode(CODEC.encode(smooth()), point=point)


def test_codes_of_another_boundary_are_a_mismatch() -> None:
    with pytest.raises(ContractMismatch):
        CODEC.encode(smooth()[:1])


@pytest.mark.parametrize("channels", [(5, 1), (1,), (0, 1)])
def test_a_point_that_does_not_fit_the_boundary_makes_no_codec(channels: tuple[int, ...]) -> None:
    with pytest.raises(ContractMismatch):
        Codec(BOUNDARY, [OperatingPoint(name="p", channels=channels)])


@given(offered=st.lists(st.integers(-5, 300)))
def test_negotiation_keeps_the_order_of_the_offer_and_always_ends_with_raw_at_hand(offered: list[int]) -> None:
    agreed = negotiate(offered)
    assert Mode.RAW in agreed
    assert len(set(agreed)) == len(agreed)
    kept = [mode for mode in agreed if mode in offered]
    assert kept == sorted(kept, key=offered.index)
    assert set(agreed) <= {Mode.RAW, Mode.ZSTD}


def test_modes_are_named_in_words() -> None:
    assert names([Mode.RAW, Mode.HIDDEN_INT4]) == "raw, hidden_int4"


# ---------------------------------------------------------------------------------------------------- modes with tables


@pytest.fixture(scope="module")
def learned() -> Codec:
    """A codec whose tables come from smooth frames and ones next to them."""
    random = np.random.default_rng(0)
    frames = [[shifted(smooth()[0], random), smooth()[1]] for _ in range(30)]
    return Codec(BOUNDARY, POINTS, tables=train_tables(frames, BOUNDARY, POINTS))


def shifted(codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A smooth frame somewhere else, with a few codes moved by a step."""
    moved = np.roll(codes, random.integers(0, 5), axis=2) + (random.random(codes.shape) < 0.03)
    return np.clip(moved - 2, -8, 7).astype(np.int8)


def test_tables_bring_their_modes(learned: Codec) -> None:
    assert set(learned.modes) == {Mode.RAW, Mode.ZSTD, Mode.INTRA, Mode.TEMPORAL}
    assert Codec(BOUNDARY, POINTS, [Mode.TEMPORAL, Mode.INTRA]).modes == (Mode.RAW,)


def test_a_key_frame_goes_out_as_intra_and_the_next_one_as_temporal(learned: Codec) -> None:
    before = smooth()
    now = [before[0].copy(), before[1]]
    now[0][1, 4, 5] += 1
    key, following = learned.encode(before), learned.encode(now, reference=before)
    assert (key[0], following[0]) == (Mode.INTRA, Mode.TEMPORAL)
    assert len(following) < len(key)
    assert [array.tolist() for array in learned.decode(following, reference=before)] == [array.tolist() for array in now]


def test_a_useless_reference_is_not_built_on(learned: Codec) -> None:
    assert learned.encode(smooth(), reference=[rough()[0], smooth()[1]])[0] == Mode.INTRA


def test_codes_that_no_table_fits_go_out_raw(learned: Codec) -> None:
    data = learned.encode(rough(), reference=smooth())
    assert data[0] == Mode.RAW
    assert len(data) == raw.body_bytes(BOUNDARY, POINTS[0]) + payload.OVERHEAD_BYTES


@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0, 1), point=st.integers(0, 1), is_key=st.booleans())
def test_with_tables_too_no_payload_is_more_than_16_bytes_over_raw(learned: Codec, seed, spread, point, is_key) -> None:
    random = np.random.default_rng(seed)
    codes, before = (
        [
            (random.integers(one.lowest, one.highest + 1, one.shape) * spread).astype(one.dtype)
            + random.integers(0, 2, dtype=np.int8)
            for one in BOUNDARY.tensors
        ]
        for _ in range(2)
    )
    codes, before = (
        [array.clip(one.lowest, one.highest) for array, one in zip(frame, BOUNDARY.tensors, strict=True)]
        for frame in (codes, before)
    )
    reference = None if is_key else learned.kept(before, point=point)
    data = learned.encode(codes, point=point, reference=reference)
    assert len(data) <= raw.body_bytes(BOUNDARY, POINTS[point]) + 16
    back = learned.decode(data, point=point, reference=reference)
    assert all(np.array_equal(one, other) for one, other in zip(back, learned.kept(codes, point=point), strict=True))


def test_codes_that_no_table_fits_and_zstd_does_go_out_as_zstd(learned: Codec) -> None:
    tile = np.random.default_rng(1).integers(-8, 8, (4, 2, 16)).astype(np.int8)
    assert learned.encode([np.tile(tile, (1, 8, 1)), smooth()[1]])[0] == Mode.ZSTD


def test_without_its_reference_a_temporal_payload_asks_for_a_key_frame(learned: Codec) -> None:
    data = learned.encode(smooth(), reference=smooth())
    with pytest.raises(ReferenceMissing, match="send a key frame"):
        learned.decode(data)


@given(place=st.tuples(st.integers(0, 3), st.integers(0, 15), st.integers(0, 15)))
def test_another_reference_by_a_single_step_is_refused(learned: Codec, place: tuple[int, int, int]) -> None:
    data = learned.encode(smooth(), reference=smooth())
    other = smooth()
    other[0][place] -= 1
    with pytest.raises(MalformedPayload, match="builds on another reference"):
        learned.decode(data, reference=other)


def test_a_reference_of_another_point_is_used_as_the_other_end_holds_it(learned: Codec) -> None:
    held = learned.kept(smooth(), point=1)
    assert [array.any(axis=None).item() for array in (held[0][:2], held[0][2:], held[1][1:])] == [True, False, False]
    for point in (0, 1):
        data = learned.encode(smooth(), point=point, reference=held)
        back = learned.decode(data, point=point, reference=held)
        assert [array.tolist() for array in back] == [array.tolist() for array in learned.kept(smooth(), point=point)]


def test_a_frame_that_crosses_whole_is_kept_as_it_is(learned: Codec) -> None:
    codes = smooth()
    assert all(one is other for one, other in zip(learned.kept(codes), codes, strict=True))


@pytest.mark.parametrize("reference", [None, smooth()], ids=["intra", "temporal"])
def test_every_flipped_bit_and_every_truncation_of_coded_payloads_is_refused(learned: Codec, reference) -> None:
    data = learned.encode(smooth(), reference=reference)
    damaged = [data[:length] for length in range(len(data))]
    damaged += [
        bytes(byte ^ (bit == 8 * i + b) << b for i, byte in enumerate(data) for b in [bit % 8]) for bit in range(len(data) * 8)
    ]
    for wrong in damaged:
        with pytest.raises((MalformedPayload, ReferenceMissing)):
            learned.decode(wrong, reference=reference)


def test_a_sound_checksum_over_another_body_is_refused(learned: Codec) -> None:
    body = payload.unpack(learned.encode(smooth()))[1]
    for wrong in (bytes(body[:-1]), bytes(body) + b"\0", b"\xff" + bytes(body)[1:], b""):
        with pytest.raises(MalformedPayload, match="coded body"):
            learned.decode(payload.pack(Mode.INTRA, wrong))


def test_without_tables_at_a_point_the_others_are_not_touched(learned: Codec) -> None:
    tables = CodecTables({key: found for key, found in learned._tables.tables.items() if key[0] == 0})
    codec = Codec(BOUNDARY, POINTS, tables=tables)
    assert codec.encode(smooth(), point=0)[0] == Mode.INTRA
    assert codec.encode(smooth(), point=1)[0] == Mode.ZSTD
    with pytest.raises(MalformedPayload, match="no tables at point 'half'"):
        codec.decode(learned.encode(smooth(), point=1), point=1)


def test_tables_of_another_boundary_are_refused_when_they_are_needed(learned: Codec) -> None:
    narrow = Boundary(tensors=(CodeTensor(name="a", shape=(4, 16, 16), bits=3), BOUNDARY.tensors[1]))
    with pytest.raises(BundleError, match="export the bundle again"):
        Codec(narrow, POINTS, tables=learned._tables).encode([smooth()[0] // 4, smooth()[1]])


@pytest.mark.parametrize(("fast", "offer"), [(True, "temporal, intra, zstd, raw"), (False, "zstd, raw")])
def test_only_an_end_with_the_c_core_offers_modes_with_tables(learned: Codec, monkeypatch, fast: bool, offer: str) -> None:
    monkeypatch.setattr("isthmus.codec.codec.IS_FAST", fast)
    assert names(offered(learned._tables)) == offer
