"""What is believed of the link: how likely each rate is, which round trip goes with it, and what waits at the bottleneck.

One answer gives one number, the time that a payload and its answer spent on the network; rate and round trip both explain it. So
every rate on a grid has a probability and a round trip of its own, a mean and a variance: payloads of different sizes tell the
rates apart, and small ones leave open how fast a fast link is. Rules:

- The rate wanders, and now and then changes altogether; without news the belief widens until it is what is usual here.
- An answer makes those rates likely that predicted its time, and moves their round trips. One that came late because the link was
  away says little: such an answer is explained by a rate drawn anew from what is usual.
- Silence is news too. With every moment that an answer is overdue, the rates that would have brought it become less likely, and
  what remains is a link that is dead.
- What was sent and not answered waits at the bottleneck, for as long as each rate says; whatever is sent behind it waits for it.

A filter on a grid with change points (Adams and MacKay, Bayesian Online Changepoint Detection, arXiv 0710.3742) whose cells hold
a Kalman filter each (Doucet et al., Rao-Blackwellised particle filtering, UAI 2000); Winstein et al., NSDI 2013, section 3,
forecast the rate of cellular links on a grid in the same way. A step costs some hundred microseconds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
LOGISTIC = 1.702
"""The logistic function of so many times a value is within 0.01 of the normal distribution of that value."""
_OCTAVES_APART = 1 / 4
_DEAD_BIT_S = 1.0
"""A rate at which nothing arrives within any deadline."""
_RATES_BIT_S: Vector = np.concatenate(([_DEAD_BIT_S], 16e3 * 2 ** (np.arange(51) * _OCTAVES_APART)))
"""float64[rate]: a dead link, then 16 kbit/s to 90 Mbit/s in steps of a quarter of an octave."""
_LOWER, _HIGHER = (np.roll(np.arange(_RATES_BIT_S.size), step) for step in (1, -1))
"""The next rate below and above each; those at the ends are neighbours that nothing comes from."""
_TRIP_S, _LEAST_TRIP_S = 0.05, 0.0005
"""What is expected of a round trip before the first answer, give or take as much; and the least that is believed."""
_LEAST_WEIGHT, _NOTHING = 1e-9, 1e-30
_WALK_SHARE_MAX = 0.25
"""Of a step of the random walk: a quarter to either side at most, or the walk would swing."""
_SURPRISE_MAX = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefSettings:
    """How links behave in general; the defaults are tuned on recordings of 3G, LTE and broadband."""

    walk_octaves: float = 0.35
    """Deviation of the rate's walk in a second."""
    change_per_s: float = 0.08
    """How often a rate is drawn anew."""
    rate_spread: float = 0.2
    """Within the time of one payload, the rate differs by so much from its mean."""
    jitter_s: float = 0.003
    """Of the round trip, with what the machines add."""
    trip_walk_s: float = 0.004
    """Deviation of the round trip's own walk in a second."""
    surprise: float = 0.02
    """Share of answers that a steady rate does not explain."""
    silence_s: float = 0.02
    """Overdue by so much, plus half of its time, an answer has become e times less likely."""
    usual_s: float = 60.0
    """What is usual is a mean over so long."""
    overhead_bytes: float = 60.0
    """HTTP/2, gRPC and protobuf around a payload."""
    answer_bytes: float = 120.0
    """Of an answer on its way back."""


@dataclass(slots=True)
class _Flight:
    """A capture without answer: when it was sent, how long each rate needs for it, bits sent up to and with it."""

    sent_s: float
    through_s: Vector
    total_bit: float


class LinkBelief:
    """Follows one link; times are seconds of one clock that only goes forward.

    Attributes:
        server_s: what the server may take before an answer counts as overdue.
    """

    def __init__(self, settings: BeliefSettings | None = None) -> None:
        self.server_s = 0.0
        self._settings = settings or BeliefSettings()
        self._weights = _first_guess()
        self._usual = _first_guess()
        self._trips_s: Vector = np.full(_RATES_BIT_S.shape, _TRIP_S)
        self._trip_variances: Vector = np.full(_RATES_BIT_S.shape, _TRIP_S**2)
        self._backlog_bit: Vector = np.zeros_like(_RATES_BIT_S)
        self._flights: dict[int, _Flight] = {}
        self._total_bit = 0.0
        self._now_s: float | None = None

    @property
    def in_flight(self) -> int:
        """Captures without an answer."""
        return len(self._flights)

    def pass_until(self, now_s: float) -> None:
        """Let time pass."""
        before_s = now_s if self._now_s is None else self._now_s
        self._now_s = max(now_s, before_s)
        passed_s = now_s - before_s
        if passed_s <= 0:
            return
        self._backlog_bit = np.maximum(0.0, self._backlog_bit - _RATES_BIT_S * passed_s)
        self._wander(passed_s)
        self._hear_silence(now_s, passed_s)
        self._usual += -np.expm1(-passed_s / self._settings.usual_s) * (self._weights - self._usual)

    def sent(self, sequence: int, size_bytes: float, now_s: float) -> None:
        """A capture was given to the link."""
        self.pass_until(now_s)
        size_bit = 8 * (size_bytes + self._settings.overhead_bytes)
        through_s = self._through(size_bytes, self._backlog_bit)
        self._backlog_bit = self._backlog_bit + size_bit
        self._total_bit += size_bit
        self._flights[sequence] = _Flight(now_s, through_s, self._total_bit)

    def answered(self, sequence: int, network_s: float, now_s: float) -> None:
        """Its answer came; `network_s` is the round trip without the server's time."""
        self.pass_until(now_s)
        flight = self._flights.pop(sequence, None)
        if flight is None:
            return
        # Whatever was sent before it has passed too.
        self._backlog_bit = np.minimum(self._backlog_bit, self._total_bit - flight.total_bit)
        settings = self._settings
        surprise = min(_SURPRISE_MAX, settings.surprise + settings.change_per_s * network_s)
        anew_trip_s, anew_variance = self._pooled_trip()
        anew = self._usually() * (anew_trip_s + flight.through_s <= network_s) / max(network_s, settings.jitter_s)
        error_s = network_s - flight.through_s - self._trips_s
        noise = settings.jitter_s**2 + (settings.rate_spread * flight.through_s) ** 2
        variance = self._trip_variances + noise
        # Laplace's distribution: recordings have heavier tails than a normal one.
        scale_s = np.sqrt(variance / 2)
        steady = self._weights * np.exp(-np.abs(error_s) / scale_s) / (2 * scale_s)
        gain = self._trip_variances / variance
        trips_s = np.maximum(_LEAST_TRIP_S, self._trips_s + gain * np.clip(error_s, -3 * scale_s, 3 * scale_s))
        variances = (1 - gain) * self._trip_variances
        self._mix([((1 - surprise) * steady, trips_s, variances), (surprise * anew, anew_trip_s, anew_variance)])

    def forget(self, sequence: int) -> None:
        """Nothing will be heard of it any more, and nothing follows from that."""
        self._flights.pop(sequence, None)

    def broken(self, now_s: float) -> None:
        """The connection is gone, with all that was on its way; the link is dead as far as one knows."""
        self.pass_until(now_s)
        self._clear()
        weights = 0.1 * self._weights
        weights[0] += 0.9
        self._become(weights)

    def mended(self, now_s: float) -> None:
        """A connection was made: something passes."""
        self.pass_until(now_s)
        self._clear()
        alive = self._usually()
        alive[0] = 0.0
        self._become(alive)

    def in_time(self, sizes_bytes: Vector, within_s: Vector, spread_s: Vector, size_spreads: Vector) -> Vector:
        """How likely answers to payloads sent now are there `within_s` of network time.

        Args:
            sizes_bytes: float64[payload].
            within_s: float64[payload], time for the network; below 0 nothing is in time.
            spread_s: float64[payload], how uncertain `within_s` is.
            size_spreads: float64[payload], how uncertain the sizes are, as part of them.

        Returns:
            float64[payload], 0 to 1.
        """
        return self._chance(self._backlog_bit, sizes_bytes, within_s, spread_s, size_spreads)

    def in_time_after(
        self, first_bytes: Vector, later_s: float, sizes_bytes: Vector, within_s: Vector, spread_s: Vector, size_spreads: Vector
    ) -> Vector:
        """The same for payloads sent in `later_s`, if another was sent now.

        Args:
            first_bytes: float64[first], payload that is sent now; 0 sends nothing.
            later_s: when the others are sent.
            sizes_bytes: as for `in_time`.
            within_s: as for `in_time`.
            spread_s: as for `in_time`.
            size_spreads: as for `in_time`.

        Returns:
            float64[first, payload], 0 to 1.
        """
        added_bit = np.where(first_bytes > 0, 8 * (first_bytes + self._settings.overhead_bytes), 0.0)
        ahead_bit = np.maximum(0.0, self._backlog_bit + added_bit[:, np.newaxis] - _RATES_BIT_S * later_s)
        return self._chance(ahead_bit, sizes_bytes, within_s, spread_s, size_spreads)

    def _chance(self, ahead_bit: Vector, sizes_bytes: Vector, within_s: Vector, spread_s: Vector, size_spreads: Vector) -> Vector:
        """float64[..., payload] of float64[..., rate] ahead."""
        settings = self._settings
        through_s = self._through(sizes_bytes[:, np.newaxis], ahead_bit[..., np.newaxis, :])
        uneven_s = 8 * (size_spreads * sizes_bytes)[:, np.newaxis] / _RATES_BIT_S
        apart = spread_s[:, np.newaxis] ** 2 + settings.jitter_s**2 + self._trip_variances
        spread = np.sqrt(apart + uneven_s**2 + (settings.rate_spread * through_s) ** 2)
        steps = LOGISTIC * (self._trips_s + through_s - within_s[:, np.newaxis]) / spread
        chance = (self._weights / (1 + np.exp(np.clip(steps, -40, 40)))).sum(-1)
        return np.asarray(np.where(within_s > 0, chance, 0.0))

    def rates_bit_s(self) -> tuple[float, float]:
        """The rate is believed to lie between these two with 80%; 0.0 stands for a dead link."""
        return self._quantile_bit_s(0.1), self._quantile_bit_s(0.9)

    @property
    def round_trip_s(self) -> float:
        """Mean of what is believed."""
        return self._pooled_trip()[0]

    def _quantile_bit_s(self, share: float) -> float:
        index = int(np.searchsorted(np.cumsum(self._weights), share))
        return float(_RATES_BIT_S[min(index, len(_RATES_BIT_S) - 1)]) if index else 0.0

    def _through(self, size_bytes: Vector | float, ahead_bit: Vector) -> Vector:
        """By each rate: until what waits ahead, the payload and the answer have gone through the bottleneck."""
        own_bit = 8 * (size_bytes + self._settings.overhead_bytes + self._settings.answer_bytes)
        return np.asarray((ahead_bit + own_bit) / _RATES_BIT_S)

    def _wander(self, passed_s: float) -> None:
        settings = self._settings
        self._trip_variances = self._trip_variances + settings.trip_walk_s**2 * passed_s
        variance = settings.walk_octaves**2 * passed_s / _OCTAVES_APART**2
        steps = min(20, max(1, int(np.ceil(variance / 2 / _WALK_SHARE_MAX))))
        share = min(_WALK_SHARE_MAX, variance / 2 / steps)
        for _ in range(steps):
            # From each rate but the dead one some weight goes to its neighbours, with its round trip.
            up, down = share * self._weights, share * self._weights
            up[[0, -1]], down[[0, 1]] = 0.0, 0.0
            self._mix(
                [
                    (self._weights - up - down, self._trips_s, self._trip_variances),
                    (up[_LOWER], self._trips_s[_LOWER], self._trip_variances[_LOWER]),
                    (down[_HIGHER], self._trips_s[_HIGHER], self._trip_variances[_HIGHER]),
                ]
            )
        changed = -np.expm1(-settings.change_per_s * passed_s)
        trip_s, trip_variance = self._pooled_trip()
        self._mix(
            [
                ((1 - changed) * self._weights, self._trips_s, self._trip_variances),
                (changed * self._usually(), trip_s, trip_variance),
            ]
        )

    def _hear_silence(self, now_s: float, passed_s: float) -> None:
        if not self._flights:
            return
        settings, oldest = self._settings, next(iter(self._flights.values()))
        likely_s = self._trips_s + np.sqrt(self._trip_variances) + oldest.through_s * (1 + settings.rate_spread)
        overdue_s = np.clip(now_s - oldest.sent_s - likely_s - self.server_s - settings.jitter_s, 0.0, passed_s)
        if overdue_s.any():
            patience_s = settings.silence_s + 0.5 * (self._trips_s + oldest.through_s)
            self._become(self._weights * np.exp(-overdue_s / patience_s))

    def _mix(self, parts: list[tuple[Vector, Vector | float, Vector | float]]) -> None:
        """Become a mixture of (weights, round trips, their variances), with the moments of each rate's parts."""
        total, trips_s, squares = np.full((3, _RATES_BIT_S.size), _NOTHING)
        for weights, trips, variance in parts:
            total += weights
            trips_s += weights * trips
            squares += weights * (variance + trips**2)
        trips_s, squares = trips_s / total, squares / total
        known = total > 1e3 * _NOTHING
        self._trips_s = np.where(known, trips_s, self._trips_s)
        self._trip_variances = np.where(known, np.maximum(squares - trips_s**2, 1e-12), self._trip_variances)
        self._become(total)

    def _become(self, weights: Vector) -> None:
        self._weights = np.maximum(weights / weights.sum(), _LEAST_WEIGHT)

    def _pooled_trip(self) -> tuple[float, float]:
        """Mean and variance over all rates."""
        trip_s = float((self._weights * self._trips_s).sum() / self._weights.sum())
        square = float((self._weights * (self._trip_variances + self._trips_s**2)).sum() / self._weights.sum())
        return trip_s, max(square - trip_s**2, 1e-12)

    def _usually(self) -> Vector:
        """float64[rate]: what is usual, with some of the first guess, so that nothing is ever impossible."""
        return np.asarray(0.8 * self._usual + 0.2 * _first_guess())

    def _clear(self) -> None:
        self._flights.clear()
        self._backlog_bit = np.zeros_like(_RATES_BIT_S)


def _first_guess() -> Vector:
    """Dead with 5%; else any rate as likely as another of the same octave, the ends less."""
    shape = np.exp(-((np.log2(_RATES_BIT_S[1:] / 2e6) / 4) ** 2))
    return np.concatenate(([0.05], 0.95 * shape / shape.sum()))
