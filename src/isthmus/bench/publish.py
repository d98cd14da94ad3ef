"""From what was measured to the files people read: `results.json`, `results.csv`, `samples.csv`, `report.html`."""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import isthmus
from isthmus.bench import samples, summary, verdict, words
from isthmus.bench.content import Fact, Moment, Outcome, ReportContent, Timeline
from isthmus.bench.demo import BANNER, Demonstrated
from isthmus.bench.measured import Measured
from isthmus.bench.report import bundle_facts, machine_facts, steadiness_facts, write_report
from isthmus.bench.results import Results, Row, write_csv, write_results
from isthmus.bench.stream import Streamed
from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.devices.detect import Machine, detect

DUE = {
    "single-stream": "a frame is due when the one before it is answered by all placements, which take turns",
    "multi-stream": "a query of one frame from each device is due when the query before it is answered; its frames count as long "
    "as the query",
    "server": "frames are due at random moments, and latency counts from then, whether or not the device or the server was free",
    "offline": "all frames of a start are due at once, so a latency is how long a frame waited; the rate counts",
}
NOTES = (
    "Network time is the round trip minus the server's own total; the clocks of the two sides are never compared.",
    "Wire bytes are TCP payload both ways, counted by the link shaper: a frame's payload, and a frame's share of all the "
    "rest, opening the stream included.",
    "Device and server share this machine's cores; a board is slower, a server faster.",
    "Pictures go into the network as it is; one trained on compressed pictures would lose less.",
    "Neighbouring frames are alike, so intervals that count frames are narrower than the truth.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was written.

    Attributes:
        results: as in `results.json`.
        report: the HTML file.
        said: sentences for the terminal, the verdict first.
    """

    results: Results
    report: Path
    said: Sequence[str]


def demo(found: Demonstrated, folder: Path) -> Published:
    """Write the demo's files into `folder`.

    Raises:
        ConfigError: they cannot be written.
    """
    rows = summary.rows(found.measured)
    machine = detect()
    said = [
        *verdict.steadiness_sentences(found.measured.steadiness, rows),
        *verdict.sentences(rows),
        _streamed(found.streamed, found.settings.link),
    ]
    command = "make demo"
    meta = _meta(found.bundle, found.measured, command) | {
        "banner": BANNER,
        "data": found.material.description,
        "machine": _as_json(machine),
        "teacher": found.teacher.model_dump(),
        "stream": found.streamed.facts
        | {
            "link": found.settings.link,
            "bytes_wire_mean": round(found.streamed.wire_bytes_mean, 1),
            "metric": found.streamed.accuracy.model_dump(),
            "recall": found.streamed.recall,
        },
        "wall_s": round(found.wall_s, 1),
    }
    content = ReportContent(
        title="Isthmus demo: local, offload and split side by side",
        banner=BANNER,
        verdict=said,
        outcomes=_outcomes(rows, found.measured),
        reference=found.teacher,
        timeline=_timeline(found),
        bundle=[Fact(name="data", value=found.material.description), *bundle_facts(found.bundle)],
        files={name: entry.size_bytes for name, entry in found.bundle.manifest.files.items()},
        gates=found.bundle.manifest.gates,
        machine=[*machine_facts(machine), *steadiness_facts(found.measured.steadiness)],
        commands=[command],
        notes=_notes(found.measured),
        created=_now(),
    )
    return _write(Results(meta=meta, rows=tuple(rows)), samples.of_cells(found.measured), content, folder, said)


def bench(bundle: Path, source: str, measured: Measured, folder: Path, command: str) -> Published:
    """Write a bench run's files into `folder`.

    Raises:
        ConfigError: they cannot be written.
    """
    opened = open_bundle(bundle)
    rows = summary.rows(measured)
    machine = detect()
    said = [*verdict.steadiness_sentences(measured.steadiness, rows), *verdict.sentences(rows)]
    said += [one.words for one in measured.cold]
    content = ReportContent(
        title=f"Isthmus bench: {opened.manifest.id} on {source}",
        verdict=said,
        outcomes=_outcomes(rows, measured),
        bundle=bundle_facts(opened),
        files={name: entry.size_bytes for name, entry in opened.manifest.files.items()},
        gates=opened.manifest.gates,
        machine=[*machine_facts(machine), *steadiness_facts(measured.steadiness)],
        commands=[command],
        notes=_notes(measured),
        created=_now(),
    )
    meta = _meta(opened, measured, command) | {"data": source, "machine": _as_json(machine)}
    return _write(Results(meta=meta, rows=tuple(rows)), samples.of_cells(measured), content, folder, said)


def _write(
    results: Results, kept: Sequence[samples.Samples], content: ReportContent, folder: Path, said: Sequence[str]
) -> Published:
    write_results(folder / "results.json", results)
    write_csv(folder / "results.csv", results.rows)
    samples.write(folder / samples.FILE_NAME, kept)
    write_report(folder / "report.html", content)
    return Published(results=results, report=folder / "report.html", said=said)


def _meta(bundle: Bundle, measured: Measured, command: str) -> dict[str, object]:
    return {
        "isthmus": isthmus.__version__,
        "created": _now(),
        "command": command,
        "scenario": measured.scenario.name,
        "rate_per_s": measured.scenario.rate_per_s,
        "streams": measured.scenario.streams,
        "bundle": bundle.manifest.id,
        "contract_digest": bundle.digest,
        "frames": measured.frames,
        "frames_with_something": len(measured.truths),
        "frames_passed": len(measured.passed),
        "answered_every": measured.every,
        "starts": measured.starts,
        "frames_scored": len(measured.truths.keys() & measured.cells[0].guesses.keys()) if measured.cells else 0,
        "frames_empty": measured.empty_frames,
        "frames_empty_dropped": measured.empty_dropped,
        "gate_ms_median": round(float(np.median(measured.gate_s)) * 1e3, 4) if measured.gate_s else None,
        "energy": measured.energy,
        "steadiness": None if measured.steadiness is None else measured.steadiness.as_json(),
        "cooled": measured.cooled,
        "cold_start": [one.as_json() for one in measured.cold],
        "notes": _notes(measured),
    }


def _as_json(machine: Machine) -> dict[str, Any]:
    """In the types that JSON has: what is written equals what is read."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(machine)))
    return found


def _notes(measured: Measured) -> list[str]:
    scenario = measured.scenario
    due = f"Latency: {scenario.words}; {DUE[scenario.name]}. To the answer, by the device's monotonic clock, gate included."
    notes = [due, *NOTES, f"Energy: {measured.energy}."]
    if scenario.streams > 1:
        notes.append(f"All {scenario.streams} devices run on this machine and share its cores with the server.")
    return notes if measured.cooled else [*notes, "The machine was still warm when a start began."]


def _outcomes(rows: Sequence[Row], measured: Measured) -> list[Outcome]:
    return [Outcome(row=row, latencies_ms=cell.latencies_ms) for row, cell in zip(rows, measured.cells, strict=True)]


def _streamed(streamed: Streamed, link: str) -> str:
    facts = streamed.facts
    reasons = {"gate": "by the gate", "newer": "for a newer frame", "link": "for want of a link", "stopped": "at the end"}
    dropped = ", ".join(f"{count} {reasons.get(reason, f'by {reason}')}" for reason, count in facts["dropped"].items()) or "none"
    return (
        f"`isthmus run` streamed {facts['frames']} frames over {link}: {facts['answered']} answered at "
        f"{streamed.accuracy.value:.1%} accuracy, dropped {dropped}; {words.size(streamed.wire_bytes_mean)} on the wire "
        f"for each, {words.size(facts['resident_bytes'])} resident, first answer after {facts['first_answer_s']} s."
    )


def _timeline(found: Demonstrated) -> Timeline:
    truths = found.measured.truths
    moments = []
    for record in sorted(found.streamed.records, key=lambda record: record["sequence"]):
        sequence = record["sequence"]
        answered = "index" in record
        truth = truths.get(sequence)
        moments.append(
            Moment(
                sequence=sequence,
                shown=truth is not None,
                gate_open=record.get("reason") != "gate",
                answered=answered,
                correct=record["index"] == truth if answered and truth is not None else None,
            )
        )
    recall = "not known" if found.streamed.recall is None else f"{found.streamed.recall:.1%}"
    return Timeline(
        moments=moments,
        frames_per_s=found.settings.stream_fps if found.material.gate else None,
        subject="digit" if found.material.gate else "object",
        summary=f"Recall of the gate {recall}; {found.streamed.accuracy.value:.1%} of the answers were right.",
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
