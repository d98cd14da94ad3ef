import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from isthmus.codec import payload
from isthmus.codec.hidden.calibration import Calibration
from isthmus.codec.hidden.codec import MODES, HiddenCodec, agree
from isthmus.codec.payload import Mode
from isthmus.errors import DeviceError, LocalProtocolError, MalformedPayload

ERROR = {Mode.HIDDEN_FP16: 2**-11, Mode.HIDDEN_INT8: 96**0.5 / 254, Mode.HIDDEN_INT4: 32**0.5 / 14}
"""Largest error of a row of up to 96 channels beside its length: half a step in every channel, where one channel has it all."""
GOLDEN = {
    Mode.HIDDEN_FP16: "10003c00c00038000000420080003453fb9dc24b22",
    Mode.HIDDEN_INT8: "110402813c408120007138ec4300000081476a5d70",
    Mode.HIDDEN_INT4: "1292344f6a2f6cf11fe4cb0941",
}


@st.composite
def some_rows(draw):
    shape = (draw(st.integers(1, 4)), draw(st.sampled_from([1, 3, 32, 33, 64, 96])))
    return draw(arrays(np.float32, shape, elements=st.floats(-60000, 60000, width=32)))


@pytest.mark.parametrize("mode", MODES)
@given(some_rows())
def test_rows_come_back_within_half_a_step_of_their_mode(mode, rows):
    codec = HiddenCodec(Calibration.neutral(rows.shape[1]))
    back = codec.decode(codec.encode(rows, mode), len(rows))
    assert (back.shape, back.dtype) == (rows.shape, np.float32)
    error, length = (np.linalg.norm(array.astype(np.float64), axis=1) for array in (back - rows, rows))
    assert (error <= 1.01 * ERROR[mode] * length + 1e-5).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_payload_has_the_size_that_was_said(mode, states, calibration):
    codec = HiddenCodec(calibration)
    assert len(codec.encode(states, mode)) == codec.payload_bytes(len(states), mode)


def test_bits_per_value_are_16_and_8_and_four_and_a_half(calibration):
    codec = HiddenCodec(calibration)
    rows = [(codec.payload_bytes(2, mode) - codec.payload_bytes(1, mode)) * 8 / 192 for mode in MODES]
    assert [round(bits, 1) for bits in rows] == [4.5, 8.2, 16.0]


@pytest.mark.parametrize("mode", MODES)
def test_a_row_is_coded_by_itself_so_that_bodies_can_be_joined(mode, states, calibration):
    codec = HiddenCodec(calibration)
    bodies = [bytes(payload.unpack(codec.encode(states[index : index + 1], mode))[1]) for index in range(3)]
    assert payload.pack(mode, b"".join(bodies)) == codec.encode(states[:3], mode)


def test_mean_and_rotation_halve_the_error_of_int4(states, calibration):
    def error(of: Calibration) -> float:
        codec = HiddenCodec(of)
        back = codec.decode(codec.encode(states[20:], Mode.HIDDEN_INT4), 20)
        return float(np.linalg.norm(back - states[20:]))

    without = Calibration(np.zeros(192, np.float32), calibration.signs)
    assert error(calibration) < 0.5 * error(without)


def test_each_payload_may_have_another_mode_and_only_agreed_ones_are_taken(states, calibration):
    sender = HiddenCodec(calibration)
    receiver = HiddenCodec(calibration, (Mode.HIDDEN_INT8, Mode.HIDDEN_FP16))
    for mode in receiver.modes:
        assert receiver.decode(sender.encode(states, mode), 40).shape == (40, 192)
    with pytest.raises(MalformedPayload, match="mode 18, agreed: hidden_int8, hidden_fp16"):
        receiver.decode(sender.encode(states), 40)


@pytest.mark.parametrize("count", [0, -1, 39, 41, 2**31])
def test_another_number_of_rows_is_malformed_before_anything_is_read(count, states, calibration):
    codec = HiddenCodec(calibration)
    with pytest.raises(MalformedPayload, match="rows of 192 channels are"):
        codec.decode(codec.encode(states), count)


@pytest.mark.parametrize(("mode", "body"), [(Mode.HIDDEN_FP16, b"\x00\x7c"), (Mode.HIDDEN_INT8, b"\xff\xff\x7f\x7f\x7f")])
def test_infinity_in_a_payload_is_malformed(mode, body):
    with pytest.raises(MalformedPayload, match="NaN or infinity"):
        HiddenCodec(Calibration.neutral(1)).decode(payload.pack(mode, body), 1)


@given(st.binary(max_size=80), st.integers(-2, 4))
def test_bytes_of_anybody_are_rows_or_malformed(data, count):
    codec = HiddenCodec(Calibration.neutral(16))
    try:
        rows = codec.decode(data, count)
    except MalformedPayload:
        return
    assert rows.shape == (count, 16)


@given(st.sampled_from(MODES), st.data())
def test_a_body_of_the_right_size_is_finite_rows_or_malformed(mode, data):
    codec = HiddenCodec(Calibration.neutral(34))
    size = codec.payload_bytes(2, mode) - payload.OVERHEAD_BYTES
    try:
        rows = codec.decode(payload.pack(mode, data.draw(st.binary(min_size=size, max_size=size))), 2)
    except MalformedPayload:
        return
    assert np.isfinite(rows).all()


def test_what_a_head_must_not_give_is_not_sent(calibration):
    codec = HiddenCodec(calibration, (Mode.HIDDEN_FP16,))
    with pytest.raises(DeviceError, match="NaN or infinity"):
        codec.encode(np.full((1, 192), np.nan, np.float32))
    with pytest.raises(LocalProtocolError, match="rows, 192"):
        codec.encode(np.zeros((1, 7), np.float32))
    with pytest.raises(LocalProtocolError, match="not agreed on"):
        codec.encode(np.zeros((1, 192), np.float32), Mode.HIDDEN_INT4)


def test_modes_of_frames_are_none_of_hidden_states(calibration):
    with pytest.raises(LocalProtocolError, match="not as raw"):
        HiddenCodec(calibration, (Mode.RAW,))
    assert agree([1, 2]) == (Mode.HIDDEN_FP16,)


@pytest.mark.parametrize("mode", MODES)
def test_golden_bytes(mode):
    rows = np.array([[1.0, -2.0, 0.5, 0.0], [3.0, -0.0, 0.25, -60000.0]], np.float32)
    codec = HiddenCodec(Calibration(np.array([0.5, 0, 0, -1], np.float32), np.array([1, -1, 1, 1], np.float32)))
    assert codec.encode(rows, mode).hex() == GOLDEN[mode]
