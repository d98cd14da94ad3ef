"""From what was said to the files people read: `results.json`, `results.csv`, `report.html`."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

import isthmus
from isthmus.bench import words
from isthmus.bench.content import Conversations, Fact, Outcome, ReportContent
from isthmus.bench.language.demo import Demonstrated
from isthmus.bench.language.stage import Spoken
from isthmus.bench.language.yardstick import ALONE
from isthmus.bench.output import now
from isthmus.bench.publish import Published
from isthmus.bench.report import machine_facts, write_report
from isthmus.bench.results import Results, Row, percentiles, write_csv, write_results
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.metric import proportion
from isthmus.devices.detect import detect

BANNER = (
    "A smoke test on a tiny language model. It shows that export, server, device and measurement work on this machine; "
    "it is not the evidence for what a split of a large one can do."
)
COMMAND = "isthmus demo --llm"
NOTES = (
    "Device, link and server are on this one machine; the device is the process that measures, the others are their own.",
    "Times run on the device from one token to the next, the first one of each answer apart. Bytes up and down are those of "
    "messages, per token after the first; on the wire is the TCP payload of the whole conversation, prompts and greeting "
    "included, per token.",
    "As unsplit: how many tokens the whole model, in the same int8 weights, draws too behind the same text and with the same "
    "seed. What differs there differs because hidden states were rounded on their way.",
    "Hidden states can be turned back into text by whoever has the head, so none of this is privacy.",
)


def demo(found: Demonstrated, folder: Path) -> Published:
    """Write the demo's files into `folder`.

    Raises:
        ConfigError: they cannot be written.
    """
    rows = [row(spoken) for spoken in found.spoken]
    machine = detect()
    said = sentences(found)
    results = Results(meta=_meta(found, json.loads(json.dumps(dataclasses.asdict(machine)))), rows=tuple(rows))
    outcomes = [
        Outcome(row=one, latencies_ms=[1e3 * gap for gap in spoken.talk.gaps_s])
        for one, spoken in zip(rows, found.spoken, strict=True)
    ]
    content = ReportContent(
        title="Isthmus demo: a language model alone, split and offloaded side by side",
        banner=BANNER,
        summary=_summary(found),
        verdict=said,
        conversations=Conversations(outcomes=outcomes, text=found.text),
        bundle=[fact for bundle in found.bundles for fact in _bundle_facts(bundle)],
        files={
            f"{bundle.origin.name}/{name}": entry.size_bytes
            for bundle in found.bundles
            for name, entry in bundle.manifest.files.items()
        },
        gates=[*(gate for bundle in found.bundles for gate in bundle.manifest.gates), *found.gates],
        machine=machine_facts(machine),
        commands=[COMMAND],
        notes=NOTES,
        created=now(),
    )
    write_results(folder / "results.json", results)
    write_csv(folder / "results.csv", rows)
    write_report(folder / "report.html", content)
    return Published(results=results, report=folder / "report.html", said=said)


def row(spoken: Spoken) -> Row:
    """One conversation as a row: what pictures call a frame is a token here, and further fields say what tokens have besides."""
    talk, count = spoken.talk, len(spoken.talk.drawn)
    later = max(1, len(talk.gaps_s))
    setting = ", ".join(filter(None, (spoken.placement.setting, "server killed" if spoken.placement.loses else "")))
    return Row.model_validate(
        {
            "placement": spoken.placement.name,
            "setting": setting,
            "link": spoken.link,
            "point": None,
            "frames": count,
            "answered": count,
            "dropped": {},
            "recall": None,
            "bytes_payload_mean": (talk.up + talk.down) / later,
            "bytes_wire_mean": spoken.passed_bytes / count,
            "latency_ms": percentiles([1e3 * gap for gap in talk.gaps_s]),
            "stages_ms": {},
            "metric": proportion("as unsplit", spoken.as_unsplit, count),
            "tokens_per_s": len(talk.gaps_s) / sum(talk.gaps_s),
            "first_ms": 1e3 * median(talk.firsts_s),
            "pause_ms": 1e3 * max(talk.gaps_s),
            "bytes_up_mean": talk.up / later,
            "bytes_down_mean": talk.down / later,
            "prompt_bytes_up": talk.prompts_up,
            "drawn_on_device_alone": sum(where == ALONE for _, where in talk.drawn),
            "as_unsplit": spoken.as_unsplit,
            "as_in_one_place": spoken.as_in_one_place,
        }
    )


def sentences(found: Demonstrated) -> list[str]:
    """What the conversations come to, the most important sentence first."""
    fastest = min(found.spoken[:-1], key=lambda spoken: mean(spoken.talk.gaps_s))
    where = f" over {fastest.link}" if fastest.link else ""
    said = [f"Fastest here: {fastest.placement.name}{where}, {1 / mean(fastest.talk.gaps_s):.0f} tokens/s."]
    if fastest.link is None:
        said[0] += " A model this small runs anywhere; a split pays where one does not fit the device or is too slow there."
    return [*said, _exactness(found.spoken), _killed(found.spoken[-1])]


def differing(spoken: Sequence[Spoken]) -> int:
    """Tokens that are not those of the same networks in one place: there should be none."""
    return sum(len(one.talk.drawn) - one.as_in_one_place for one in spoken)


def _exactness(spoken: Sequence[Spoken]) -> str:
    count, wrong = sum(len(one.talk.drawn) for one in spoken), differing(spoken)
    if wrong:
        return f"{wrong} of {count} tokens differ from those that the same networks give in one process."
    return f"All {count} tokens, over every link, are those that the same networks give in one process."


def _killed(spoken: Spoken) -> str:
    alone = sum(where == ALONE for _, where in spoken.talk.drawn)
    return (
        f"When the server was killed in mid-answer the next token came after {max(spoken.talk.gaps_s):.2f} s, from the device "
        f"alone, which drew {alone} of the {len(spoken.talk.drawn)} tokens."
    )


def _meta(found: Demonstrated, machine: dict[str, object]) -> dict[str, object]:
    return {
        "isthmus": isthmus.__version__,
        "created": now(),
        "command": COMMAND,
        "banner": BANNER,
        "bundles": {bundle.origin.name: bundle.digest for bundle in found.bundles},
        "fidelity": [one.model_dump() for one in found.bundles[0].manifest.fidelity],
        "gates": [gate.model_dump() for gate in found.gates],
        "sampling": dataclasses.asdict(found.settings.sampling),
        "prompts": list(found.settings.prompts),
        "text": found.text,
        "tokens_that_differ": differing(found.spoken),
        "verdict": sentences(found),
        "machine": machine,
        "wall_s": round(found.wall_s, 1),
        "notes": list(NOTES),
    }


def _summary(found: Demonstrated) -> list[Fact]:
    manifest, settings = found.bundles[0].manifest, found.settings
    facts = (
        (
            "Model",
            f"{manifest.architecture}, {manifest.layers} layers of {manifest.width} channels, {manifest.vocabulary:,} tokens",
        ),
        ("Trained on", "nine tenths of a text of Shakespeare's plays"),
        ("Conversation", f"{len(settings.prompts)} prompts, {settings.tokens} tokens behind each"),
        ("Links", ", ".join(settings.links)),
    )
    return [Fact(name=name, value=value) for name, value in facts]


def _bundle_facts(bundle: LanguageBundle) -> list[Fact]:
    manifest = bundle.manifest
    last = 0 if manifest.last is None else manifest.last.layers
    told = [
        (bundle.origin.name, f"{manifest.layout}, {words.size(bundle.size_bytes())}"),
        ("Contract digest", bundle.digest),
        ("On the device", f"{manifest.head.layers + last} of {manifest.layers} layers, {manifest.head.weights}"),
        ("What crosses", f"hidden states of {manifest.width} values a token"),
    ]
    for one in manifest.fidelity:
        share = f"{one.agreement:.1%} of {one.tokens} tokens likeliest as in float32"
        told.append((f"{one.network} in {manifest.head.weights}", f"{share}, perplexity {one.perplexity:.2f}"))
    return [Fact(name=name, value=value) for name, value in told]
