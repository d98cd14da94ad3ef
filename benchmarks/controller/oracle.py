"""The best that anyone could do who knows the whole recording, every payload and every time beforehand.

Sending in order over one bottleneck, the only thing that a choice leaves behind is when the bottleneck is free again. So it is
enough to keep, frame after frame, the pairs of (free again, score so far) that no other pair beats in both: dynamic programming,
exact but for rounding up to half a millisecond in favour of the oracle. It has no limit of credits and no queue at the server,
and it may leave frames out: an upper bound.
"""

import bisect

import numpy as np
from benchmarks.controller.scenario import ANSWER_BYTES, OVERHEAD_BYTES, Scenario

_STEP_S = 0.0005


def best_score(scenario: Scenario, otherwise: float = 0.0) -> float:
    """Mean over frames of accuracy x answered in time; `otherwise` as for `Outcome.score`."""
    front = [(0.0, 0.0)]
    """Free again, score so far; both growing."""
    for frame in range(scenario.camera.frames):
        front = _next(scenario, frame, front, otherwise)
    return front[-1][1] / scenario.camera.frames


def _next(scenario: Scenario, frame: int, front: list[tuple[float, float]], otherwise: float) -> list[tuple[float, float]]:
    camera, captured_s = scenario.camera, scenario.captured_s(frame)
    # Whatever was free before this frame came is free now.
    front = _distinct(front, captured_s)
    local = scenario.local
    alone = scenario.accuracy[local] if scenario.device_s[local, frame] <= camera.deadline_s else 0.0
    found = [(free_s, score + max(alone, otherwise)) for free_s, score in front]
    for row, choice in enumerate(scenario.choices):
        if choice.placement == "local" or scenario.accuracy[row] <= alone:
            continue
        begins_s = captured_s + scenario.device_s[row, frame]
        for free_s, score in _distinct(front, begins_s):
            sent_s = _sent_at(scenario, max(free_s, begins_s), int(scenario.size_bytes[row, frame]) + OVERHEAD_BYTES)
            served_s = sent_s + scenario.profile.one_way_s + scenario.server_s[row, frame]
            back_s = _sent_at(scenario, served_s, ANSWER_BYTES) + scenario.profile.one_way_s
            if back_s <= captured_s + camera.deadline_s:
                found.append((np.floor(sent_s / _STEP_S) * _STEP_S, score + scenario.accuracy[row]))
    return _unbeaten(found)


def _distinct(front: list[tuple[float, float]], begins_s: float) -> list[tuple[float, float]]:
    """Of the pairs that are free before sending begins only the best one counts."""
    first = max(0, bisect.bisect_right(front, (begins_s, np.inf)) - 1)
    return front[first:]


def _unbeaten(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for free_s, score in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not kept or score > kept[-1][1] + 1e-9:
            kept.append((float(free_s), float(score)))
    return kept


def _sent_at(scenario: Scenario, start_s: float, size_bytes: int) -> float:
    profile = scenario.profile
    assert profile.trace is not None
    return profile.trace.sent_at(start_s + profile.trace_offset_s, size_bytes) - profile.trace_offset_s
