"""One HTML file that tells what a measurement found. It loads nothing: an engineer can send it to anyone and it still opens."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2

from isthmus.bench import findings, words
from isthmus.bench.charts import accuracy_against_bytes, latency_distribution, stage_breakdown
from isthmus.bench.content import Conversations, Fact, Outcome, ReportContent, Timeline
from isthmus.bench.evaluation import Evaluation
from isthmus.bench.interval_chart import relative_changes
from isthmus.bench.legend import Chart
from isthmus.bench.look import names
from isthmus.bench.output import write_whole
from isthmus.bench.results import Row
from isthmus.bench.rival_chart import against_bytes, against_time
from isthmus.bench.strips import strips
from isthmus.contract.bundle import Bundle
from isthmus.devices.detect import Machine
from isthmus.devices.steadiness import Steadiness


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report, whole or not at all.

    Raises:
        ConfigError: the file cannot be written.
    """
    write_whole(path, render(content))


def render(content: ReportContent) -> str:
    """The report as one HTML text."""
    outcomes = content.outcomes
    return _template().render(
        content=content,
        words=words,
        named=list(zip(names(outcomes), outcomes, strict=True)),
        stages=list(dict.fromkeys(stage for outcome in outcomes for stage in outcome.row.stages_ms)),
        accuracy=accuracy_against_bytes(outcomes, content.reference) if outcomes else None,
        breakdown=stage_breakdown(outcomes) if any(outcome.row.stages_ms for outcome in outcomes) else None,
        distribution=latency_distribution(outcomes),
        spoken=_spoken(content.conversations),
        token_times=latency_distribution(content.conversations.outcomes, subject="token") if content.conversations else None,
        rivals=_rivals(content.evaluation),
        intervals=relative_changes(content.comparison) if content.comparison else None,
        changes=[(cell.name, change) for cell in content.comparison.cells for change in cell.changes]
        if content.comparison
        else [],
        findings=findings,
        timelines=_timelines(content.timeline),
        metric=_metric_name(outcomes),
        rates=any(outcome.row.rate_per_s is not None for outcome in outcomes),
        links=sorted({outcome.row.link for outcome in outcomes if outcome.row.link}),
    )


def bundle_facts(bundle: Bundle) -> tuple[Fact, ...]:
    """What a bundle says of itself, in words."""
    manifest = bundle.manifest
    codes = ", ".join(
        f"{tensor.name} {'x'.join(map(str, tensor.shape))} of {tensor.bits} bits" for tensor in manifest.boundary.tensors
    )
    share = manifest.head.flops / max(1, manifest.head.flops + manifest.tail.flops)
    return (
        Fact(name="Bundle", value=f"{manifest.id} {manifest.version}, {words.size(bundle.size_bytes())}"),
        Fact(name="Contract digest", value=bundle.digest),
        Fact(name="Cut", value=f"after {', '.join(manifest.cut.tensors)} ({manifest.cut.operator})"),
        Fact(name="What crosses", value=codes),
        Fact(name="Bottleneck", value=manifest.bottleneck),
        Fact(name="Operating points", value=", ".join(point.name for point in manifest.points)),
        Fact(name="Head", value=f"{manifest.head.flops / 1e6:,.1f} MFLOP, {manifest.head.parameters:,} parameters"),
        Fact(name="Tail", value=f"{manifest.tail.flops / 1e6:,.1f} MFLOP, {manifest.tail.parameters:,} parameters"),
        Fact(name="Head's part of the arithmetic", value=words.share(share)),
    )


def machine_facts(machine: Machine) -> tuple[Fact, ...]:
    """What a machine is, in words; see `devices.detect`."""
    providers = ", ".join(machine.onnxruntime_providers or ())
    facts = (
        ("Board", machine.board or ""),
        ("CPU", f"{machine.cpu_model}, {machine.cores} cores used, {machine.architecture}"),
        ("Memory", f"{machine.memory_bytes / 1e9:.1f} GB"),
        ("System", f"{machine.operating_system}, kernel {machine.kernel}"),
        ("Python", machine.python),
        ("onnxruntime", f"{machine.onnxruntime} ({providers})" if machine.onnxruntime else "missing"),
        ("OpenCV", machine.opencv or "missing"),
    )
    return tuple(Fact(name=name, value=value) for name, value in facts if value)


def steadiness_facts(found: Steadiness | None) -> tuple[Fact, ...]:
    """How the machine was before and after, in words; see `devices.steadiness`."""
    if found is None:
        return ()
    before, after = found.before, found.after
    warmth = "not visible" if before.temperature_c is None else f"{before.temperature_c:.0f} to {after.temperature_c or 0:.0f} °C"
    clock = "not visible" if before.clock_mhz is None else f"{before.clock_mhz:.0f} to {after.clock_mhz or 0:.0f} MHz"
    others = "not visible" if found.others_share is None else words.share(found.others_share)
    slowed = before.throttling is not None and after.throttling is not None
    facts = (
        ("Steady", "yes" if found.is_steady else f"no: {'; '.join(found.reasons)}"),
        ("Clocks", f"{clock}, governor {', '.join(after.governors) or 'not visible'}"),
        ("Temperature", warmth),
        ("Throttling", "watched" if slowed else "not visible"),
        ("Processor time of others", others),
    )
    return tuple(Fact(name=name, value=value) for name, value in facts)


def _spoken(said: Conversations | None) -> list[tuple[str, Row]]:
    """Rows of conversations with their names."""
    return [] if said is None else [(name, one.row) for name, one in zip(names(said.outcomes), said.outcomes, strict=True)]


def _rivals(evaluation: Evaluation | None) -> list[tuple[str, Chart]]:
    """Charts of an evaluation with their titles."""
    if evaluation is None or not evaluation.rows:
        return []
    name = evaluation.rows[0].metric.name.capitalize()
    by_bytes, by_time = against_bytes(evaluation.rows), against_time(evaluation.rows)
    charts = [(f"{name} against bytes", by_bytes), (f"{name} against time on the device", by_time)]
    return [(title, chart) for title, chart in charts if chart is not None]


def _timelines(timeline: Timeline | None) -> list[Chart]:
    """The same timeline for a wide and for a narrow screen; the style sheet shows one of them."""
    if timeline is None or not timeline.moments:
        return []
    return [strips(timeline, width=1000, frames_per_strip=1500), strips(timeline, width=420, frames_per_strip=600)]


def _metric_name(outcomes: Sequence[Outcome]) -> str:
    return outcomes[0].row.metric.name if outcomes else "accuracy"


@cache
def _template() -> jinja2.Template:
    source = (resources.files("isthmus.bench") / "report.html.j2").read_text(encoding="utf-8")
    # Labels and file names come from other people's data: everything is escaped unless it was built as markup here.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)
