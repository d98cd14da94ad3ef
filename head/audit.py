"""The drift audit of the neural filter: does it miss more than it promises?

Scenes change: seasons, lamps, another camera. So a share `s` of the frames that the filter drops is sent all the same, and the
answers are counted. With a share `m` of the frames with something to see being dropped, and so audited with the chance `s`, an
answer that says "something" comes from the audit with the chance `m s / (1 - m + m s)`. If the audit's part among the newest
answers of this kind is larger than the promised `m` explains by chance (one-sided exact binomial test), the alarm is raised.
"""

import threading
from collections import deque
from dataclasses import dataclass

import structlog

from isthmus.contract.binomial import at_least
from isthmus.contract.filter import FilterRecord
from isthmus.contract.presence import sees
from isthmus.head.record import Record

WINDOW = 5000
"""Answers with something to see that are looked at: enough for some hundredths to show, few enough to forget last season."""
CHANCE_MAX = 1e-3
"""The test is made again and again, and frames of one event are alike; 0.05 would cry wolf."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """What the audit has come to.

    Attributes:
        audited: frames that the filter had dropped, with an answer.
        missed: those of them with something to see.
        missed_ratio: estimate, of the newest answers: share of the frames with something to see that the filter drops.
        alarm: whether that is above the promise beyond chance.
    """

    audited: int = 0
    missed: int = 0
    missed_ratio: float | None = None
    alarm: bool = False


class FilterAudit:
    """A sink that judges the filter by the records; safe to use from any thread.

    Args:
        record: the filter's, with a presence.
        share: of the dropped frames that is audited, above 0.
        window: see `WINDOW`.
    """

    def __init__(self, record: FilterRecord, share: float, *, window: int = WINDOW) -> None:
        assert record.presence is not None
        self._presence = record.presence
        self._promise = record.missed_frames_max
        self._share = share
        self._lock = threading.Lock()
        self._newest: deque[bool] = deque(maxlen=window)
        self._misses = 0
        self._state = AuditState()

    @property
    def state(self) -> AuditState:
        """What it has come to so far."""
        return self._state

    def facts(self) -> dict[str, float | None]:
        """The same for the status page and for Prometheus."""
        state = self._state
        return {
            "filter_audited_frames": state.audited,
            "filter_missed_frames": state.missed,
            "filter_missed_ratio": state.missed_ratio,
            "filter_alarm": state.alarm,
        }

    def write(self, record: Record) -> None:
        """Take one record; of answers of the split only, for others were not the filter's to decide."""
        if record.reason or record.placement != "split":
            return
        seen = sees(self._presence, record.classification, record.detections)
        if not seen and not record.audited:
            return
        with self._lock:
            if seen:
                self._remember(audited=record.audited)
            self._state = self._judged(audited=record.audited, missed=record.audited and seen)

    def close(self) -> None:
        """Nothing to finish."""

    def _remember(self, *, audited: bool) -> None:
        oldest = self._newest[0] if len(self._newest) == self._newest.maxlen else False
        self._newest.append(audited)
        self._misses += audited - oldest

    def _judged(self, *, audited: bool, missed: bool) -> AuditState:
        before = self._state
        positives, misses = len(self._newest), self._misses
        dropped = misses / self._share
        alarm = at_least(misses, positives, self._chance()) < CHANCE_MAX
        state = AuditState(
            audited=before.audited + audited,
            missed=before.missed + missed,
            missed_ratio=dropped / (positives - misses + dropped) if positives else None,
            alarm=alarm,
        )
        if alarm and not before.alarm:
            _log.warning(
                "the filter misses more than it promises; calibrate it again on new film",
                missed_ratio=round(state.missed_ratio or 0.0, 4),
                promised=self._promise,
                missed=misses,
                of=positives,
            )
        elif before.alarm and not alarm:
            _log.warning("the filter keeps its promise again", missed_ratio=round(state.missed_ratio or 0.0, 4))
        return state

    def _chance(self) -> float:
        """Chance that an answer with something to see comes from the audit, if the promise is just kept."""
        audited = self._promise * self._share
        return audited / (1 - self._promise + audited) if self._promise < 1 else 1.0
