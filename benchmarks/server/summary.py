"""From measurements to rows, and from rows to what was asked of the server. Rows are what the JSON holds and the page shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from benchmarks.server import flood, latency
from benchmarks.server.figures import Figures
from benchmarks.server.flood import Flood
from benchmarks.server.latency import Latency, Ping
from benchmarks.server.throughput import BARE, Throughput

Row = dict[str, Any]
ISTHMUS = "Isthmus"
BUSY, SMALL_BYTES = 8, 100_000
"""Requests in flight and payload that targets are meant for: from so many on, up to so many."""
CPU_MOST = 1.35
RATE_LEAST = {"MLServer": 2.0, "LitServe": 1.5, "BentoML": 3.0, "Ray Serve": 3.0}
MOST_IN_FLIGHT = 32
ADDED_MOST_US, TLS_MOST_US = 150.0, 100.0
FLOOD_MOST = 1.20


def load_rows(found: Throughput) -> list[Row]:
    """One row for each server and number of requests in flight, and one for each server that failed."""
    rows: list[Row] = []
    for (name, in_flight), rounds in found.rounds.items():
        bare = found.rounds.get((BARE, in_flight), [])
        pooled = np.concatenate([figures.latencies_s for figures in rounds]) * 1e3
        rows.append(
            {
                "kind": "load",
                "server": name,
                "in_flight": in_flight,
                "rounds": len(rounds),
                "requests": len(pooled),
                "rate": _median([figures.rate for figures in rounds]),
                "p50_ms": _percentile(pooled, 50),
                "p99_ms": _percentile(pooled, 99),
                "cpu_us": _median([figures.cpu_us for figures in rounds]),
                "cpu_of_bare": _paired(rounds, bare, "cpu_us"),
                "client_cpu_us": _median([figures.client_us for figures in rounds]),
                "rate_rounds": [round(figures.rate, 1) for figures in rounds],
                "cpu_us_rounds": [round(figures.cpu_us, 1) for figures in rounds],
            }
        )
    for name, share in found.idle.items():
        rows.append({"kind": "idle", "server": name, "cores": round(share, 4)})
    return rows + [{"kind": "failure", "server": name, "reason": reason} for name, reason in found.failures.items()]


def latency_rows(found: Latency) -> list[Row]:
    """One row for each subject and payload size; what the codec decodes is in `added_us`, what onnxruntime computes is not."""
    rows: list[Row] = []
    for (subject, size), pings in found.pings.items():
        trips = np.array([ping.trip_s for ping in pings]) * 1e6
        base = found.pings.get((latency.TCP, size))
        rows.append(
            {
                "kind": "latency",
                "subject": subject,
                "payload_bytes": size,
                "pings": len(pings),
                "p50_us": _percentile(trips, 50),
                "p99_us": _percentile(trips, 99),
                "decode_us": _median([ping.decode_s * 1e6 for ping in pings]),
                "compute_us": _median([ping.compute_s * 1e6 for ping in pings]),
                "added_us": None if base is None else round(_without_compute_us(pings) - _without_compute_us(base), 1),
            }
        )
    return rows + [{"kind": "failure", "server": name, "reason": reason} for name, reason in found.failures.items()]


def _without_compute_us(pings: Sequence[Ping]) -> float:
    return float(np.median([ping.trip_s - ping.compute_s for ping in pings])) * 1e6


def flood_row(found: Flood) -> Row:
    """The polite client's latencies without and with the flood."""
    alone, beside = flood.percentiles_ms(found.alone_s), flood.percentiles_ms(found.beside_s)
    return {
        "kind": "flood",
        "alone": alone,
        "beside": beside,
        "p95_ratio": round(beside["p95_ms"] / alone["p95_ms"], 3),
        "answered_per_s": round(found.answered / found.seconds, 1),
        "refused_per_s": round(found.refused / found.seconds, 1),
        "failed": found.failed,
        "told": flood.told(),
    }


def targets(rows: Sequence[Row]) -> list[Row]:
    """What was asked and what was measured; `met` is None where it was not measured."""
    loads = {(row["server"], row["in_flight"]): row for row in rows if row["kind"] == "load"}
    return [_cpu_target(loads), *_rate_targets(loads), *_latency_targets(rows), *_flood_targets(rows)]


def _cpu_target(loads: Mapping[tuple[str, int], Row]) -> Row:
    ratios = [row["cpu_of_bare"] for (name, in_flight), row in loads.items() if name == ISTHMUS and in_flight >= BUSY]
    return _at_most(f"CPU per request of the bare loop's, {BUSY} in flight and more", CPU_MOST, ratios)


def _rate_targets(loads: Mapping[tuple[str, int], Row]) -> list[Row]:
    own = loads.get((ISTHMUS, MOST_IN_FLIGHT))
    rows = []
    for name, least in RATE_LEAST.items():
        # A server that is measured in several ways is judged by its best one.
        rates = [row["rate"] for (peer, count), row in loads.items() if peer.startswith(name) and count == MOST_IN_FLIGHT]
        measured = own["rate"] / max(rates) if own and rates else None
        what = f"requests per second of {name}'s, {MOST_IN_FLIGHT} in flight"
        rows.append(_target(what, f">= {least:g}", measured, measured is not None and measured >= least))
    return rows


def _latency_targets(rows: Sequence[Row]) -> list[Row]:
    of = {(row["subject"], row["payload_bytes"]): row for row in rows if row["kind"] == "latency"}
    small = [size for subject, size in of if subject == latency.PLAIN and size <= SMALL_BYTES]
    added = [of[latency.PLAIN, size]["added_us"] for size in small]
    pairs = [(of[latency.TLS, size], of[latency.PLAIN, size]) for size in small if (latency.TLS, size) in of]
    return [
        _at_most(f"us over a raw TCP echo, p50, up to {SMALL_BYTES // 1000} kB", ADDED_MOST_US, added),
        _at_most(
            f"us that TLS adds to that, p50, up to {SMALL_BYTES // 1000} kB",
            TLS_MOST_US,
            [secure["p50_us"] - plain["p50_us"] for secure, plain in pairs],
        ),
    ]


def _flood_targets(rows: Sequence[Row]) -> list[Row]:
    ratios = [row["p95_ratio"] for row in rows if row["kind"] == "flood"]
    return [_at_most("p95 of a polite client beside a flood, of that without", FLOOD_MOST, ratios)]


def _at_most(what: str, most: float, measured: Sequence[float]) -> Row:
    worst = max(measured, default=None)
    return _target(what, f"<= {most:g}", worst, worst is not None and worst <= most)


def _target(what: str, target: str, measured: float | None, met: bool) -> Row:
    return {
        "kind": "target",
        "what": what,
        "target": target,
        "measured": None if measured is None else round(measured, 3),
        "met": None if measured is None else met,
    }


def _paired(rounds: Sequence[Figures], bare: Sequence[Figures], name: str) -> float | None:
    """Median over the rounds of a figure against the bare loop's of the same round."""
    pairs = [getattr(one, name) / getattr(other, name) for one, other in zip(rounds, bare, strict=False)]
    return round(float(np.median(pairs)), 3) if pairs else None


def _median(values: Sequence[float]) -> float:
    return round(float(np.median(values)), 1)


def _percentile(values: np.ndarray, percent: float) -> float:
    return round(float(np.percentile(values, percent)), 3)
