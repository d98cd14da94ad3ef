"""What the rows come to, in words. The verdict may be that nothing should be split."""

from collections.abc import Sequence

from isthmus.bench import words
from isthmus.bench.results import Row
from isthmus.devices.steadiness import Steadiness


def steadiness_sentences(found: Steadiness | None, rows: Sequence[Row] = ()) -> list[str]:
    """That a run is no result, where the machine did not stay the same meanwhile; or that some of its rows are none."""
    said = []
    if found is not None and not found.is_steady:
        said.append(f"This run is unsteady, a trial and no result: {'; '.join(found.reasons)}.")
    return said + [
        f"Unsteady, a trial and no result: {row.label}{f' over {row.link}' if row.link else ''}; {'; '.join(row.unsteady)}."
        for row in rows
        if row.unsteady
    ]


def sentences(rows: Sequence[Row]) -> list[str]:
    """About the rows of one run, the most important sentence first."""
    answered = [row for row in rows if row.latency_ms.p50 is not None]
    if not answered:
        return ["No frame was answered; there is nothing to compare."]
    best = max(row.metric.value for row in answered)
    # Whose interval reaches the best one cannot be told apart from it; speed decides among these.
    good = [row for row in answered if row.metric.high >= best]
    fastest = min(good, key=lambda row: row.latency_ms.p50 or 0.0)
    said = [_advice(fastest)]
    said += [_split(row, answered) for row in answered if row.placement == "split"]
    return said


def _advice(fastest: Row) -> str:
    found = f"{words.milliseconds(fastest.latency_ms.p50)} ms median at {fastest.metric.value:.1%} {fastest.metric.name}"
    where = f" over {fastest.link}" if fastest.link else ""
    if fastest.placement == "local":
        return (
            f"Do not split this network on this machine: it answers by itself in {found}, and no link can be faster. "
            "A split pays where the device is too slow, or the network too large, to answer alone."
        )
    if fastest.placement == "offload":
        return f"Send the picture ({fastest.setting}){where}: {found}."
    return f"Split{where}: {found}, with {words.size(fastest.bytes_payload_mean)} a frame."


def _split(row: Row, rows: Sequence[Row]) -> str:
    rivals = [other for other in rows if other.placement == "offload" and other.link == row.link and other.bytes_payload_mean]
    head = row.stages_ms.get("head")
    text = f"The split {row.setting}{f' over {row.link}' if row.link else ''} sends {words.size(row.bytes_payload_mean)} a frame"
    if rivals:
        smallest = min(rivals, key=lambda other: other.bytes_payload_mean)
        ratio = smallest.bytes_payload_mean / row.bytes_payload_mean
        much = f"{ratio:.1f} times fewer than" if ratio >= 1 else f"{1 / ratio:.1f} times as many as"
        text += f", {much} {smallest.setting} at {smallest.metric.value:.1%} against its {row.metric.value:.1%}"
    if head is not None:
        text += f"; its head takes {words.milliseconds(head)} ms"
    return text + "."
