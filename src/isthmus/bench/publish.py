"""From what was measured to the files people read: `results.json`, `results.csv`, `samples.csv`, `report.html`."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import isthmus
from isthmus.bench import evaluation, notes, prediction, samples, summary, verdict, words
from isthmus.bench.content import Fact, Moment, Outcome, ReportContent, Timeline
from isthmus.bench.demo import BANNER, Demonstrated
from isthmus.bench.evaluation import Evaluation
from isthmus.bench.measured import Measured
from isthmus.bench.output import now
from isthmus.bench.report import bundle_facts, machine_facts, steadiness_facts, write_report
from isthmus.bench.results import Results, Row, write_csv, write_results
from isthmus.bench.stream import Streamed
from isthmus.contract.bundle import Bundle
from isthmus.devices.detect import Machine, detect
from isthmus.errors import ConfigError


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
    warnings = verdict.steadiness_sentences(found.measured.steadiness, rows)
    said = [*verdict.sentences(rows), _streamed(found.streamed, found.settings.link)]
    rated, problems = _evaluation(found.bundle)
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
        warnings=warnings,
        summary=_summary(found.bundle, "the digits" if found.material.gate else "pictures", found.measured),
        verdict=said,
        evaluation=rated,
        conditions=_conditions(found.measured),
        outcomes=_outcomes(rows, found.measured),
        reference=found.teacher,
        timeline=_timeline(found),
        bundle=[Fact(name="data", value=found.material.description), *bundle_facts(found.bundle)],
        files={name: entry.size_bytes for name, entry in found.bundle.manifest.files.items()},
        gates=found.bundle.manifest.gates,
        machine=machine_facts(machine),
        commands=[command],
        notes=[*notes.of_run(found.measured), *problems],
        created=now(),
    )
    return _write(Results(meta=meta, rows=tuple(rows)), samples.of_cells(found.measured), content, folder, [*warnings, *said])


def bench(
    bundle: Bundle, source: str, measured: Measured, folder: Path, command: str, *, plan: Results | None = None
) -> Published:
    """Write a bench run's files into `folder`; `plan` is compared with it.

    Raises:
        ConfigError: they cannot be written.
    """
    rows = summary.rows(measured)
    machine = detect()
    warnings = verdict.steadiness_sentences(measured.steadiness, rows)
    predicted = [] if plan is None else prediction.beside(plan, rows)
    said = verdict.sentences(rows) + ([] if plan is None else [prediction.sentence(predicted)])
    cold = [one.words for one in measured.cold]
    rated, problems = _evaluation(bundle)
    content = ReportContent(
        title=f"Isthmus bench: {bundle.manifest.id} on {Path(source).name or source}",
        warnings=warnings,
        summary=_summary(bundle, source, measured),
        verdict=said,
        evaluation=rated,
        predicted=predicted,
        conditions=_conditions(measured),
        cold=measured.cold,
        outcomes=_outcomes(rows, measured),
        bundle=bundle_facts(bundle),
        files={name: entry.size_bytes for name, entry in bundle.manifest.files.items()},
        gates=bundle.manifest.gates,
        machine=machine_facts(machine),
        commands=[command],
        notes=[*notes.of_run(measured), *problems],
        created=now(),
    )
    meta = _meta(bundle, measured, command) | {"data": source, "machine": _as_json(machine)}
    meta["predicted"] = [one.as_json() for one in predicted]
    return _write(Results(meta=meta, rows=tuple(rows)), samples.of_cells(measured), content, folder, [*warnings, *said, *cold])


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
        "created": now(),
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
        "notes": [*notes.of_run(measured), f"Energy: {measured.energy}."],
    }


def _evaluation(bundle: Bundle) -> tuple[Evaluation | None, list[str]]:
    """The bundle's evaluation, and what is wrong with it."""
    try:
        return evaluation.read(bundle.folder), []
    except ConfigError as error:
        return None, [f"Rivals are not shown: {error}."]


def _summary(bundle: Bundle, source: str, measured: Measured) -> list[Fact]:
    answered = max((len(cell.answers) for cell in measured.cells), default=0)
    facts = (
        ("Bundle", f"{bundle.manifest.id} {bundle.manifest.version}"),
        ("Data", Path(source).name or source),
        ("Frames", f"{measured.frames:,}, up to {answered:,} answered"),
        ("Scenario", measured.scenario.words),
        ("Starts of the programs", str(measured.starts)),
    )
    return [Fact(name=name, value=value) for name, value in facts]


def _conditions(measured: Measured) -> list[Fact]:
    cooled = () if measured.cooled else (Fact(name="Cool-down", value="still warm when a start began"),)
    return [Fact(name="Energy", value=measured.energy), *steadiness_facts(measured.steadiness), *cooled]


def _as_json(machine: Machine) -> dict[str, Any]:
    """In the types that JSON has: what is written equals what is read."""
    found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(machine)))
    return found


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
