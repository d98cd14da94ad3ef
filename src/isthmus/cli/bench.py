"""`isthmus bench` and `isthmus demo`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from isthmus.cli import comparing, costs, guard, quantity, remotely, typed
from isthmus.cli.bundles import JsonOption
from isthmus.errors import DeviceError, UsageError

if TYPE_CHECKING:
    from isthmus.bench.progress import Progress as Report
    from isthmus.bench.publish import Published


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything the demo makes.")] = Path("demo-output"),
    data: Annotated[Path | None, typer.Option(help="An image folder, one folder for each class, instead of the digits.")] = None,
    llm: Annotated[bool, typer.Option("--llm", help="A small language model that is in the package; a minute or two.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train, cut, export, serve, stream and measure a small network; about five minutes.

    With --llm: export a small language model, cut in two and as a sandwich, talk to it alone and over links, and kill its
    server in mid-answer.

    Writes bundles, results.json, results.csv and report.html.
    """
    from isthmus.bench import demo as demonstration
    from isthmus.bench import publish

    if llm:
        if data is not None:
            raise UsageError("--data is for pictures; leave it out with --llm")
        _demo_of_language(output, as_json=as_json)
        return
    with _bar() as bar:
        show = _Shower(bar)
        found = demonstration.demonstrate(output, data, demonstration.DemoSettings(), on_progress=show)
        show.end()
    published = publish.demo(found, output)
    _print(published, as_json=as_json)


def _demo_of_language(output: Path, *, as_json: bool) -> None:
    from isthmus.bench.language import demo as demonstration
    from isthmus.bench.language import publish
    from isthmus.bench.language.settings import DemoSettings
    from isthmus.bench.language.table import conversations_table

    with _bar() as bar:
        show = _Shower(bar)
        found = demonstration.demonstrate(output, DemoSettings(), on_progress=show)
        show.end()
    published = publish.demo(found, output)
    if as_json:
        typer.echo(published.results.model_dump_json(indent=2))
    else:
        guard.out.print(conversations_table(published.results.rows))
        for sentence in published.said:
            guard.out.print(sentence, highlight=False, markup=False)
        guard.out.print(publish.BANNER, style="bold", highlight=False)
        guard.out.print(f"Report: {published.report}", highlight=False)
    if wrong := publish.differing(found.spoken):
        raise DeviceError(f"{wrong} tokens are not those of the same networks in one process; {published.report} has the rows")


def bench(
    context: typer.Context,
    bundle: Annotated[Path | None, typer.Argument(help="A folder or file *.isthmus.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for results.json, results.csv, samples.csv and report.html.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Folder, picture, video or belt:FILE.npz.")] = None,
    placements: Annotated[
        str, typer.Option(help="Of local, offload (jpeg-75), webp-50, jpeg-90, split, ...")
    ] = "local,offload,split",
    links: Annotated[
        str, typer.Option(help="Rates and round trips, as 1mbit/20ms,10mbit/5ms; unlimited; trace:FILE/40ms.")
    ] = "5mbit/20ms",
    frames: Annotated[int | None, typer.Option(min=1, help="Take at most so many frames of the source.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Answer only every so many-th frame that passes the gate.")] = 1,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Drop frames in which nothing moves.")] = True,
    starts: Annotated[
        int,
        typer.Option(min=1, max=10, help="Start server, links and streams anew so many times; once for 50 frames at most."),
    ] = 5,
    device: Annotated[
        str | None, typer.Option(metavar="PROFILE", help="Profile of this machine, a name or a TOML file; found by itself.")
    ] = None,
    scenario: Annotated[
        Literal["single-stream", "multi-stream", "server", "offline"], typer.Option(help="When frames are due, as in MLPerf.")
    ] = "single-stream",
    rate: Annotated[
        str | None, typer.Option(metavar="N/s", help="With --scenario server: frames due in a second, at random moments.")
    ] = None,
    streams: Annotated[
        int, typer.Option(min=1, max=32, help="Devices at once, each with a stream and a link of its own; not in single-stream.")
    ] = 1,
    cold: Annotated[
        int, typer.Option(min=0, max=100, metavar="N", help="Time N starts of server and agent to their first answers.")
    ] = 0,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `isthmus plan --json` printed: show it beside what is measured.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Measure no placements: time every kernel, stage and cut, and write a cost table.")
    ] = False,
    predict: Annotated[
        str, typer.Option(metavar="PROFILES", help="With --profile: carry the costs over to these devices, as rpi4,rpi5.")
    ] = "",
    on: Annotated[
        str | None, typer.Option(metavar="USER@HOST,...", help="Run there instead, over ssh, and bring the results home.")
    ] = None,
    ssh: Annotated[str, typer.Option(help="With --on: the ssh command and its options.")] = "ssh",
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Measure nothing: say what differs between two results, and what only by chance."),
    ] = None,
    equal: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="With --compare: one more run like A; two or more tell how whole runs differ by chance."
        ),
    ] = None,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="With --compare: end with 1 if something became worse beyond chance.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="With --fail-on-regression: let pass what became worse by so large a share.")
    ] = 0.02,
    as_json: JsonOption = False,
) -> None:
    """Measure placements side by side on one sequence, over shaped links, in one run; or compare two such runs."""
    from isthmus.bench import placements as choices
    from isthmus.bench import prediction, publish
    from isthmus.bench import scenario as scenarios
    from isthmus.contract.bundle import open_bundle

    if compare is not None:
        comparing.compare(
            *compare,
            equal=equal or (),
            output=output,
            command=shlex.join(["isthmus", "bench", *typed.words(context)]),
            tolerance=tolerance,
            fail=fail_on_regression,
            as_json=as_json,
        )
        return
    if equal:
        raise UsageError("--equal names more runs like A; it needs --compare A B")
    if bundle is None or output is None or source is None:
        raise UsageError("name a bundle, -o FOLDER and --source SOURCE; or --compare A B")
    when = scenarios.parse(scenario, rate_per_s=quantity.rate_per_s(rate, "--rate") if rate else None, streams=streams)
    if predict and not profile:
        raise UsageError("--predict carries measured costs over; it needs --profile")
    if on and plan:
        raise UsageError("--plan is for measurements on this machine; compare results of --on with their plan by hand")
    if on:
        options = typed.words(context, without=("bundle", "output", "source", "on", "ssh", "as_json"))
        remotely.bench(on, bundle, source, output, options, ssh=ssh, as_json=as_json)
        return
    if profile:
        with _bar() as bar:
            show = _Shower(bar)
            wanted = [name.strip() for name in predict.split(",") if name.strip()]
            costs.profile(bundle, output, source, device=device, predict=wanted, as_json=as_json, on_progress=show)
            show.end()
        return
    if not placements.strip():
        raise UsageError("--placements is empty; name some of local, offload, split")
    opened = open_bundle(bundle)
    promised = prediction.read_plan(plan, opened) if plan else None
    with _bar() as bar:
        show = _Shower(bar)
        measured = choices.run(
            bundle,
            source,
            placements.split(","),
            links.split(","),
            limit=frames,
            every=every,
            gate=gate,
            starts=starts,
            scenario=when,
            cold_starts=cold,
            device=device,
            on_progress=show,
        )
        show.end()
    command = shlex.join(["isthmus", "bench", *typed.words(context)])
    published = publish.bench(opened, source, measured, output, command, plan=promised)
    _print(published, as_json=as_json)


def _bar() -> Progress:
    guard.only_warnings()
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=guard.err, disable=not guard.err.is_terminal
    )


class _Shower:
    """Shows progress: a bar for each part on a terminal, a line for each part elsewhere."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._part = ""

    def __call__(self, report: "Report") -> None:
        part = report.part.partition(", loss")[0]
        if part != self._part:
            self.end()
            self._part = part
            self._task = self._bar.add_task(report.part, total=1.0 if report.share is not None else None)
            if not guard.err.is_terminal:
                guard.err.print(part, highlight=False)
        if self._task is not None:
            self._bar.update(self._task, description=report.part, completed=report.share or 0.0)

    def end(self) -> None:
        """The part at hand is done."""
        if self._task is not None:
            self._bar.update(self._task, total=1.0, completed=1.0)


def _print(published: "Published", *, as_json: bool) -> None:
    from isthmus.bench.table import energy_lines, results_table, stage_lines

    if as_json:
        typer.echo(published.results.model_dump_json(indent=2))
        return
    guard.out.print(results_table(published.results.rows))
    guard.out.print("Mean stages in ms", style="bold")
    for line in stage_lines(published.results.rows):
        guard.out.print(f"  {line}", highlight=False, markup=False)
    energies = energy_lines(published.results.rows)
    if energies:
        guard.out.print("Energy of a frame", style="bold")
    for line in energies or [f"Energy: {published.results.meta['energy']}"]:
        guard.out.print(f"  {line}" if energies else line, highlight=False, markup=False)
    guard.out.print()
    for sentence in published.said:
        guard.out.print(sentence, highlight=False, markup=False)
    if banner := published.results.meta.get("banner"):
        guard.out.print(str(banner), style="bold", highlight=False)
    guard.out.print(f"Report: {published.report}", highlight=False)
