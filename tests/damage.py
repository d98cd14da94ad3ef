"""Damaged bytes for fuzz tests."""

from hypothesis import strategies as st


def damaged(draw, message):
    """A protobuf message as bytes: as it is, with a byte changed, or cut."""
    data = bytearray(message.SerializeToString())
    if data and draw(st.integers(0, 3)) == 0:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return bytes(data)
