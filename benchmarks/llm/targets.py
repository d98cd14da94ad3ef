"""What was aimed at, beside what was measured."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
PARAMETERS_LEAST = 50_000_000
"""Of a model that the first target is meant for: smaller ones are all overhead."""
SPLIT_MOST, AGREEMENT_LEAST, GAIN_LEAST, PAUSE_MOST_MS = 1.05, 0.97, 3.0, 1000.0


def judge(rows: Sequence[Row]) -> list[Row]:
    """A row for each target that something was measured for."""
    return [*_compute(rows), *_agreement(rows), *_together(rows), *_outages(rows)]


def _compute(rows: Sequence[Row]) -> list[Row]:
    found = []
    for row in rows:
        if row["kind"] == "compute" and row["model"] == "split" and row["parameters"] >= PARAMETERS_LEAST:
            told = f"{row['wall_ratio']:.3f} ({row['wall_low']:.3f} to {row['wall_high']:.3f})"
            told += f"; of processor time {row['cpu_ratio']:.3f} ({row['cpu_low']:.3f} to {row['cpu_high']:.3f})"
            what = f"time per token of the split model over the unsplit one, {row['weights']}, cut {row['cut']}"
            # On a machine with other programs the clock's interval is wide; processor time must agree.
            met = max(row["wall_ratio"], row["cpu_ratio"]) <= SPLIT_MOST
            found.append(_target(what, f"<= {SPLIT_MOST} by both", told, met=met))
    return found


def _agreement(rows: Sequence[Row]) -> list[Row]:
    found = []
    for row in rows:
        if row["kind"] == "agreement" and row["mode"] == "int4":
            what = f"int4 hidden states, same token likeliest, {row['model']}, cut {row['cut']} of {row['layers']}"
            told = f"{row['agreement']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
            found.append(_target(what, f">= {AGREEMENT_LEAST:.0%}", told, met=row["agreement"] >= AGREEMENT_LEAST))
    return found


def _together(rows: Sequence[Row]) -> list[Row]:
    found = []
    for row in rows:
        if row["kind"] == "together" and row["conversations"] > 1:
            what = f"tokens/s of {row['conversations']} conversations over one, {row['weights']} tail"
            told = f"{row['gain']:.2f} ({row['gain_least']:.2f} to {row['gain_most']:.2f})"
            told += f"; processor time per token 1/{row['cpu_gain']:.2f}"
            found.append(_target(what, f">= {GAIN_LEAST:g}", told, met=row["gain"] >= GAIN_LEAST))
    return found


def _outages(rows: Sequence[Row]) -> list[Row]:
    found = []
    for row in rows:
        if row["kind"] == "outage":
            what = f"{row['what']} in mid-answer, {row['then']}, {row['weights']}: the next token, most of {row['rounds']} rounds"
            told = f"{row['pause_most_ms']:.0f} ms (median {row['pause_ms']:.0f}), {row['wrong']} of {row['tokens']} tokens wrong"
            met = row["pause_most_ms"] <= PAUSE_MOST_MS and not row["wrong"]
            found.append(_target(what, f"within {PAUSE_MOST_MS:.0f} ms, none wrong", told, met=met))
    return found


def _target(what: str, target: str, measured: str, *, met: bool) -> Row:
    return {"kind": "target", "what": what, "target": target, "measured": measured, "met": met}
