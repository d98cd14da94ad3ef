"""The live part of a run: `isthmus run` as a process of its own, streaming at a camera's pace over a shaped link."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.bench import programs
from isthmus.contract.metric import Metric, proportion
from isthmus.devices.link import LinkProfile
from isthmus.errors import BundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What the agent said of itself, and of every frame.

    Attributes:
        records: one JSON object a frame, see `head.record`.
        facts: the agent's own summary: frames, answered, dropped, resident_bytes, ready_s, first_answer_s.
        wire_bytes_mean: for each answered frame, both ways.
        accuracy: of the answered frames in which something was to be seen.
        recall: share of those frames that the gate let pass; None where the truth is not known.
    """

    records: list[dict[str, Any]]
    facts: dict[str, Any]
    wire_bytes_mean: float
    accuracy: Metric
    recall: float | None


def stream(
    bundle: Path,
    source: str,
    *,
    tail: str,
    link: LinkProfile,
    truths: dict[int, int],
    sink: Path,
    fps: float | None,
    gate: bool,
    timeout_s: float,
) -> Streamed:
    """Run the agent once over the source.

    Args:
        bundle: what it runs.
        source: see `isthmus run --source`.
        tail: `host:port` of the running server.
        link: between the two.
        truths: sequence -> class index of frames in which something is to be seen.
        sink: JSON lines are written here.
        fps: pace; None: as fast as answers come.
        gate: whether the agent's motion gate is on.
        timeout_s: for the whole run.

    Raises:
        DeviceError: the agent failed or did not end in time.
    """
    with programs.shaper(tail, link) as shaper:
        arguments = [str(bundle), "--source", source, "--tail", shaper.match["address"], "--sink", f"jsonl:{sink}", "--json"]
        arguments += ["--device-id", "demo-camera", "--gate" if gate else "--no-gate"]
        arguments += [] if fps is None else ["--fps", str(fps)]
        printed = programs.run_agent(arguments, timeout_s=timeout_s)
    try:
        facts = json.loads(printed)["rows"][0]
        records = [json.loads(line) for line in sink.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise BundleError(f"the agent's output cannot be read: {error}") from error
    answered = {record["sequence"]: record["index"] for record in records if "index" in record}
    seen = {record["sequence"] for record in records}
    asked = [sequence for sequence in truths if sequence in answered]
    right = sum(answered[sequence] == truths[sequence] for sequence in asked)
    gated = {record["sequence"] for record in records if record.get("reason") == "gate"}
    visible = [sequence for sequence in truths if sequence in seen]
    return Streamed(
        records=records,
        facts=facts,
        wire_bytes_mean=programs.passed_bytes(shaper) / max(1, len(answered)),
        accuracy=proportion("accuracy", right, len(asked)),
        recall=sum(sequence not in gated for sequence in visible) / len(visible) if visible else None,
    )
