"""The weight of the rate that makes a picture cost a given number of bytes, found while the codes are trained.

After every step the weight moves by how far the codes are from the target: a proportional part answers at once, an integral part
stays (a PI controller, on the logarithm of the weight, for what a weight does goes by its ratio to another). The size of a
payload is what the codec's tables say of the codes of the step, corrected by what they say of whole photos whenever the tables
are learned anew: crops in other light cost something else.
"""

import math

from isthmus.errors import UsageError

ENVELOPE_BITS = 60
"""Of a payload beside its codes: mode and checksum, and what the coder's state has too much."""
WEIGHT_RANGE = (1e-4, 10.0)
"""Beyond these the rate is nothing, or everything."""
INTEGRAL, PROPORTIONAL = 0.05, 0.5
"""Of the logarithm of the weight, for an error of 1: tenfold in fifty steps at most."""
ERROR_MAX = 1.0
"""Of the logarithm of bits over wanted bits: codes that are twice too dear are dear enough."""
MEMORY = 0.9
"""Of the running mean of what steps cost."""


class Steering:
    """Finds the weight.

    Args:
        target_bytes: of the payload of a picture with all channels.
        codes: of a picture.
        bits: of a code, as it is sent without a codec.
        weight: to begin with.

    Raises:
        UsageError: no payload is as short, or codes without a codec are shorter.
    """

    def __init__(self, target_bytes: int, *, codes: int, bits: int, weight: float) -> None:
        self._wanted = (8 * target_bytes - ENVELOPE_BITS) / codes
        if self._wanted <= 0:
            raise UsageError(
                f"no payload has {target_bytes} bytes, its envelope alone takes {ENVELOPE_BITS // 8 + 1}; allow more"
            )
        if self._wanted >= bits:
            raise UsageError(
                f"{codes} codes of {bits} bits never take {target_bytes} bytes, at most {codes * bits // 8}; "
                "allow fewer, or give more --channels or --bits"
            )
        self._integral = math.log(min(max(weight, WEIGHT_RANGE[0]), WEIGHT_RANGE[1]))
        self._seen: float | None = None
        self._correction = 1.0

    @property
    def weight(self) -> float:
        """Of the mean bits of a code, for the next step."""
        lowest, highest = WEIGHT_RANGE
        return min(highest, max(lowest, math.exp(self._integral + PROPORTIONAL * self._error)))

    def saw(self, bits: float) -> None:
        """Hear what the codes of a step cost.

        Args:
            bits: mean of a code by the tables at hand.
        """
        self._seen = bits if self._seen is None else MEMORY * self._seen + (1 - MEMORY) * bits
        lowest, highest = map(math.log, WEIGHT_RANGE)
        self._integral = min(highest, max(lowest, self._integral + INTEGRAL * self._error))

    def renewed(self, before: float, after: float) -> None:
        """Hear what whole photos cost.

        Args:
            before: mean bits of a code by the tables that steps were told of.
            after: the same by the new tables.
        """
        if self._seen is not None and min(before, after, self._seen) > 0:
            self._correction = before / self._seen
            self._seen *= after / before

    @property
    def _error(self) -> float:
        if self._seen is None:
            return 0.0
        found = self._seen * self._correction
        return -ERROR_MAX if found <= 0 else min(ERROR_MAX, max(-ERROR_MAX, math.log(found / self._wanted)))

    def state(self) -> dict[str, float | None]:
        """For a checkpoint."""
        return {"integral": self._integral, "seen": self._seen, "correction": self._correction}

    def restore(self, state: dict[str, float | None]) -> None:
        """Go on from a checkpoint."""
        integral, correction = state["integral"], state["correction"]
        assert integral is not None
        assert correction is not None
        self._integral, self._correction, self._seen = integral, correction, state["seen"]
