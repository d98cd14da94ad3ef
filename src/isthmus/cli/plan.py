"""`isthmus plan`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.bench.words import milliseconds, share, size
from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption
from isthmus.cli.quantity import seconds
from isthmus.cli.results import print_table
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.bench.planning.fleet import Sized
    from isthmus.bench.planning.forecast import Forecast
    from isthmus.bench.planning.plan import OverLink, Plan
    from isthmus.bench.planning.simulation import Fleet

_LEGEND = "> the quickest at the wanted accuracy, * nothing beats it in everything, - not accurate enough"
_FLEET = "How large a server a fleet needs"
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def plan(
    bundle: BundleArgument,
    link: Annotated[list[str], typer.Option(help="Rate and round trip, as 5mbit/20ms; unlimited; trace:FILE/40ms. Repeatable.")],
    device: Annotated[
        str | None,
        typer.Option(metavar="PROFILE", help="The device, a name or a TOML file; the one whose costs were measured by default."),
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="Cost table of `isthmus bench --profile`; the one beside the bundle by default.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE|FILE", help="The server, a profile or a cost table; by default the machine that was measured."
        ),
    ] = None,
    accuracy_drop: Annotated[str, typer.Option(help="Accuracy that may be lost against the unsplit network.")] = "1%",
    evaluation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `isthmus evaluate --json` printed; by default the bundle's own."),
    ] = None,
    load: Annotated[str, typer.Option(help="Part of the server's time that other devices take.")] = "0%",
    instances: Annotated[int, typer.Option(min=1, help="Instances of the server, as of `serve`.")] = 1,
    fleet: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=100_000, help="A server for so many devices.", rich_help_panel=_FLEET),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.01, max=1000, help="Frames a second of each.", rich_help_panel=_FLEET)] = 10.0,
    pass_rate: Annotated[str, typer.Option(help="Share of the frames that pass the gate.", rich_help_panel=_FLEET)] = "100%",
    p95: Annotated[
        str | None,
        typer.Option(help="95th percentile wanted, as 100ms; by default half as much again as alone.", rich_help_panel=_FLEET),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every picture setting and every cut.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw latencies over the rate of the link.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict latency, bytes and energy of every placement on a device and a link, and say which to take.

    Nothing is run: `isthmus bench --profile` has measured what stages cost, the exporter or `isthmus evaluate` what answers are
    worth. The verdict may be to run the network locally, or to send the picture.
    """
    from isthmus.bench.costs import now
    from isthmus.bench.planning import figures, sides
    from isthmus.bench.planning import plan as planning
    from isthmus.contract.bundle import open_bundle
    from isthmus.devices import link as links

    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot} would hold an SVG; let its name end with .svg")
    drop, busy = percent(accuracy_drop, "--accuracy-drop"), percent(load, "--load")
    asked = None if fleet is None else _fleet(fleet, fps, pass_rate, p95)
    profiles = [links.parse(text) for text in link]
    opened = open_bundle(bundle)
    made = planning.make(
        opened,
        figures.read(opened, evaluation),
        sides.choose(opened, device, costs, server, now=now),
        profiles,
        accuracy_drop=drop,
        load=busy,
        instances=instances,
    )
    fleets = [] if asked is None else planning.sized(made, asked)
    if plot is not None:
        _plot(plot, made)
    if as_json:
        command = f"isthmus plan {bundle}" + "".join(f" --link {text}" for text in link)
        typer.echo(planning.as_results(made, command, fleets).model_dump_json(indent=2))
        return
    _print(made, everything=everything)
    if asked is not None:
        _print_fleet(asked, fleets)


def _fleet(devices: int, fps: float, pass_rate: str, p95: str | None) -> "Fleet":
    from isthmus.bench.planning.simulation import Fleet

    share_passed = percent(pass_rate, "--pass-rate")
    if not share_passed:
        raise UsageError("--pass-rate 0%: no frame reaches the server, and none is needed")
    return Fleet(devices=devices, fps=fps, pass_share=share_passed, p95_s=None if p95 is None else seconds(p95, "--p95"))


def percent(text: str, option: str) -> float:
    """Read a share.

    >>> percent("1%", "--accuracy-drop"), percent("62.5 %", "--load")
    (0.01, 0.625)

    Raises:
        UsageError: it is not a number of percent from 0 to 100.
    """
    found = _PERCENT.fullmatch(text.strip())
    if not found or float(found[1]) > 100:
        raise UsageError(f"{option} {text!r} is not a share; write for example 1%")
    return float(found[1]) / 100


def _plot(path: Path, made: "Plan") -> None:
    from isthmus.bench.output import write_whole
    from isthmus.bench.planning import chart

    write_whole(path, chart.draw(made.bundle.manifest.id, made.links))
    guard.err.print(f"drawn: {path}", highlight=False, markup=False)


def _print(made: "Plan", *, everything: bool) -> None:
    from isthmus.bench.planning import advice

    for one in made.links:
        _print_link(made, one, everything=everything)
        for sentence in (one.verdict, *advice.ranges(one.ranges)):
            guard.out.print(sentence, highlight=False, markup=False)
        guard.out.print()
    for remark in made.sides.remarks:
        guard.out.print(remark, highlight=False, markup=False)


def _print_fleet(asked: "Fleet", found: list["Sized"]) -> None:
    guard.out.print()
    if not found:
        guard.out.print("No placement that needs a server is accurate enough; the fleet needs none.", highlight=False)
        return
    print_table(
        f"A server for {asked.devices:,} devices of {asked.fps:g} frames/s, {asked.pass_share:.0%} of them passed; simulated",
        ["link", "placement", "cores", "instances", "busy", "p50 ms", "p95 ms", "wanted", "lost"],
        [_fleet_cells(one) for one in found],
        left=("placement",),
    )


def _fleet_cells(one: "Sized") -> list[str]:
    outcome, wanted = one.outcome, milliseconds(one.wanted_s * 1e3)
    if outcome is None or one.cores is None:
        return [one.link, one.candidate.name, "none is enough", "-", "-", "-", "-", wanted, "-"]
    times = [milliseconds(outcome.p50_s * 1e3), milliseconds(outcome.p95_s * 1e3), wanted]
    return [
        one.link,
        one.candidate.name,
        str(one.cores),
        str(outcome.instances),
        share(outcome.busy_share),
        *times,
        share(outcome.lost_share),
    ]


def _print_link(made: "Plan", one: "OverLink", *, everything: bool) -> None:
    shown = one.forecasts if everything else _worth_showing(made, one)
    hidden = len(one.forecasts) - len(shown)
    more = f"; --all shows {hidden} more" if hidden else ""
    load = f", server {one.setting.load:.0%} busy" if one.setting.load else ""
    metric = made.figures.unsplit.name
    print_table(
        f"{made.bundle.manifest.id} over {one.setting.link}{load}, predicted{more}",
        ["", "placement", metric, "payload", "p50 ms", "from to", "device ms", "network ms", "server ms", "energy mJ"],
        [_cells(made, one, found) for found in shown],
        left=("placement",),
    )
    marks = list(dict.fromkeys(mark for found in shown for mark in found.marks))
    for mark in marks:
        whose = [found.candidate.name for found in shown if mark in found.marks]
        guard.out.print(f"{', '.join(whose)}: {mark}", highlight=False, markup=False)
    guard.out.print(_LEGEND, highlight=False)


def _worth_showing(made: "Plan", one: "OverLink") -> list["Forecast"]:
    """What the bundle does by itself, the best picture, the quickest cut without a bottleneck, and the front."""
    quickest = sorted((found for found in one.forecasts if found.is_possible), key=lambda found: found.latency.value)
    accurate = [found for found in quickest if found.candidate.metric.value >= made.wanted]
    pictures = [found for found in accurate if found.candidate.placement == "offload"][:1]
    cuts = [found for found in quickest if not found.candidate.is_there][:1]
    return [
        found
        for found in one.forecasts
        if found in pictures or found in cuts or (found.candidate.placement != "offload" and found.candidate.is_there)
    ]


def _cells(made: "Plan", one: "OverLink", found: "Forecast") -> list[str]:
    latency = found.latency
    accurate = found.candidate.metric.value >= made.wanted
    mark = ">" if found is one.best else "-" if not accurate else "*" if found in one.front else ""
    above_j = found.above_idle_j
    server_s = found.server_s
    network = found.stages.get("network")
    return [
        mark,
        found.candidate.name,
        share(found.candidate.metric.value),
        size(found.candidate.payload_bytes),
        milliseconds(latency.value * 1e3),
        f"{milliseconds(latency.low * 1e3)} to {milliseconds(latency.high * 1e3)}",
        milliseconds(found.device_s * 1e3),
        milliseconds(None if network is None else network.value * 1e3),
        milliseconds(server_s * 1e3 if found.candidate.sends else None),
        "not known" if above_j is None else f"{above_j * 1e3:.1f}",
    ]
