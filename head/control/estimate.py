"""A mean and a deviation that follow what is measured (Jacobson, Congestion Avoidance and Control, SIGCOMM 1988)."""

_GAIN, _DEVIATION_GAIN = 1 / 8, 1 / 4
"""Jacobson's: the mean follows within some eight samples."""
_GUESSED_DEVIATION = 1 / 4
"""Of the mean, while one sample or none was seen."""


class Estimate:
    """Of a quantity in any unit; begins with a guess.

    >>> size_bytes = Estimate(100.0)
    >>> size_bytes.add(400.0)
    >>> size_bytes.mean, size_bytes.deviation
    (400.0, 100.0)

    Attributes:
        mean: what to expect.
        deviation: mean distance from it.
    """

    def __init__(self, guess: float) -> None:
        self.mean = guess
        self.deviation = _GUESSED_DEVIATION * guess
        self._is_guess = True

    def add(self, value: float) -> None:
        """Learn from one; the first takes the place of the guess."""
        if self._is_guess:
            self.mean, self.deviation, self._is_guess = value, _GUESSED_DEVIATION * value, False
            return
        error = value - self.mean
        self.mean += _GAIN * error
        self.deviation += _DEVIATION_GAIN * (abs(error) - self.deviation)
