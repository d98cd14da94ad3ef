"""Figures in words, alike on the terminal and in the report."""

from collections.abc import Sequence
from statistics import median

from isthmus.bench.results import Row
from isthmus.contract.metric import Metric

UNKNOWN = "-"
"""Stands where nothing was measured."""


def milliseconds(value: float | None) -> str:
    """Three significant digits.

    >>> milliseconds(0.04213), milliseconds(7.281), milliseconds(123.4), milliseconds(None)
    ('0.042', '7.28', '123', '-')
    """
    if value is None:
        return UNKNOWN
    if value < 1:
        return f"{value:.3f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def rate(per_s: float) -> str:
    """Three significant digits, and whole numbers from 100 on.

    >>> rate(0.0421), rate(39.72), rate(1736.4)
    ('0.0421', '39.7', '1,736')
    """
    return f"{per_s:.3g}" if per_s < 100 else f"{per_s:,.0f}"


def size(count: float) -> str:
    """Bytes, in powers of ten.

    >>> size(0), size(532.4), size(1394), size(2_000_000), size(25_276_510_000)
    ('0 B', '532 B', '1.39 kB', '2.00 MB', '25.28 GB')
    """
    if count < 999.5:
        return f"{count:.0f} B"
    if count < 999_995_000:
        return f"{count / 1000:.2f} kB" if count < 999_500 else f"{count / 1_000_000:.2f} MB"
    return f"{count / 1e9:.2f} GB"


def share(value: float | None) -> str:
    """Percent with one decimal.

    >>> share(0.98765), share(None)
    ('98.8%', '-')
    """
    return UNKNOWN if value is None else f"{value:.1%}"


def interval(metric: Metric) -> str:
    """The 95% interval.

    >>> interval(Metric(name="accuracy", value=0.9, low=0.5958, high=0.9821))
    '59.6 to 98.2%'
    """
    return f"{metric.low * 100:.1f} to {metric.high * 100:.1f}%"


def seconds(values: Sequence[float]) -> str:
    """Median of some durations.

    >>> seconds((0.5, 0.75, 2.0)), seconds(())
    ('0.75', '-')
    """
    return f"{median(values):.2f}" if values else UNKNOWN


def energy(row: Row) -> str:
    """What a frame took, with its doubt where that is known, and whether it was measured.

    >>> energy(Row.model_construct(energy_j=None))
    'not measured'
    >>> energy(Row.model_construct(energy_j={"kind": "measured", "value": 0.0421, "low": 0.0401, "high": 0.0441}))
    '42.1 ± 2.0 mJ measured'
    >>> energy(Row.model_construct(energy_j={"kind": "modelled", "value": 1.25, "low": None, "high": None}))
    '1250.0 mJ modelled'
    """
    found = row.energy_j
    if found is None:
        return "not measured"
    doubt = "" if found.get("high") is None else f" ± {(found['high'] - found['value']) * 1e3:.1f}"
    return f"{found['value'] * 1e3:.1f}{doubt} mJ {found['kind']}"


def lost(row: Row) -> str:
    """Frames without an answer for another reason than the gate.

    >>> lost(Row.model_construct(dropped={"gate": 40, "deadline": 2})), lost(Row.model_construct(dropped={}))
    ('2 deadline', 'none')
    """
    return ", ".join(f"{count} {reason}" for reason, count in row.dropped.items() if reason != "gate" and count) or "none"


def modes(row: Row) -> str:
    """In which modes of the codec the frames crossed; nothing where no codes are sent.

    >>> modes(Row.model_construct(modes={"temporal": 38, "intra": 2})), modes(Row.model_construct(modes={}))
    ('38 frames temporal, 2 intra', '')
    """
    counts = [f"{count} {'frames ' if not index else ''}{mode}" for index, (mode, count) in enumerate(row.modes.items())]
    return ", ".join(counts)


def main_stages(row: Row, count: int = 3) -> str:
    """The longest stages, longest first."""
    longest = sorted(row.stages_ms.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{stage} {milliseconds(spent)}" for stage, spent in longest) or UNKNOWN
