"""Arithmetic of a counter that starts anew at a known value."""

from isthmus.errors import DeviceError

POWER_MAX_W = 2000.0
"""No device, and no server socket, takes more; a counter that says so was set back, or has wrapped unseen."""


def advanced_j(before_j: float, now_j: float, *, wraps_j: float) -> float:
    """What was counted between two readings between which it started anew at most once.

    >>> advanced_j(5.0, 7.0, wraps_j=100.0), advanced_j(98.0, 3.0, wraps_j=100.0)
    (2.0, 5.0)

    Args:
        before_j: first reading, 0 to `wraps_j`.
        now_j: second reading, 0 to `wraps_j`.
        wraps_j: where it starts anew.

    Raises:
        DeviceError: a reading lies outside of the range.
    """
    for reading_j in (before_j, now_j):
        if not 0 <= reading_j <= wraps_j:
            raise DeviceError(f"an energy counter says {reading_j:g} J and should start anew at {wraps_j:g} J")
    return now_j - before_j if now_j >= before_j else now_j - before_j + wraps_j


def check_gap(gap_s: float, advance_j: float, *, wraps_j: float) -> None:
    """Refuse an advance that cannot be told from one more turn of the counter.

    Args:
        gap_s: between the readings, above 0.
        advance_j: of `advanced_j`.
        wraps_j: where the counter starts anew.

    Raises:
        DeviceError: in the time another whole turn would have been possible, or nothing takes as much power as that.
    """
    if advance_j / gap_s > POWER_MAX_W:
        raise DeviceError(
            f"an energy counter went on by {advance_j:g} J in {gap_s:g} s, which nothing takes: it was set back; measure again"
        )
    if gap_s * POWER_MAX_W > wraps_j:
        raise DeviceError(
            f"an energy counter that starts anew every {wraps_j:g} J was not read for {gap_s:g} s; it may have done so unseen"
        )
