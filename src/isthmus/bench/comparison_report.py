"""The report of two runs side by side, for people."""

from pathlib import Path

from isthmus.bench import findings
from isthmus.bench.comparison import Comparison
from isthmus.bench.content import ReportContent
from isthmus.bench.output import now
from isthmus.bench.report import write_report

NOTE = (
    "An interval holds the largest of the doubts: how single frames scatter (circular block bootstrap), how starts of the "
    "programs differ, and, where equal runs were named, how those do (Student's distribution). No change seen is not the same "
    "as no change."
)


def write(found: Comparison, folder: Path, command: str) -> Path:
    """Write `report.html` into a folder.

    Raises:
        ConfigError: it cannot be written.
    """
    content = ReportContent(
        title="Isthmus bench: two runs compared",
        warnings=[f"{reason}." for reason in found.unsteady],
        verdict=findings.sentences(found, with_warnings=False),
        comparison=found,
        commands=[command],
        notes=[NOTE],
        created=now(),
    )
    write_report(folder / "report.html", content)
    return folder / "report.html"
