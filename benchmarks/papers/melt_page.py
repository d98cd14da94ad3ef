"""MELT's table on the page: speed, memory, quality, a sustained run, alone and split."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import table

Row = Mapping[str, Any]
OPENING = """## MELT

Laskaridis, Katevas, Minto and Haddadi 2024, "MELTing point: Mobile Evaluation of Language Transformers" (MobiCom, arXiv
2403.12844). *Theirs* is what its abstract says; tokens a second, joules and accuracies of single models and devices are in
its plots and are **not at hand**."""
THEIRS = (
    ("speed", "differs much between devices and frameworks; inference is bound by memory"),
    ("quantisation and memory", "much less memory, without which large models do not run"),
    ("quantisation and quality", "costs accuracy that cannot be neglected"),
    ("sustained run", "energy and heat keep continuous execution out of reach"),
    ("energy", "traced on every device; figures not at hand"),
    ("offloading", "expected to be a way for edge deployments"),
)
DIFFERS = """What differs: theirs are instruction-tuned models, TinyLlama to Llama 2, on phones and Jetson boards, through
llama.cpp and MLC-LLM, with their energy. Ours is {model}, on one thread of this machine: no phone, no power meter. Quality is
that of another, much smaller model that was trained: {trained}. Models so small fit caches better than theirs do, so that
ratios between precisions do not carry over."""
SPEED = "### Speed and memory, alone on one thread"
SPEED_TOLD = """Medians of {rounds} rounds, prompts of {prompt} tokens and {tokens} decoded ones. *Resident*: peak of the
process, libraries included, {before:.0f} MB before the model was loaded; mapped weights count as far as they were touched."""
QUALITY = "### Quantisation against quality"
SUSTAINED = "### Sustained run"
LINKS = "### Alone, split, and token ids"
LINKS_TOLD = """{weights} weights on both sides, prompts of {prompt} tokens, answers of {tokens}, rounds: {rounds}, of which
medians; device, shaper and server are processes of this machine, one thread each, and nothing is slowed. A device that is as
quick as its server has nothing to gain from one: what is to be seen is what a link costs. [llm-benchmark](llm-benchmark.md)
has more links and sizes."""


def section(found: Mapping[str, Any]) -> str:
    """All of it."""
    parts = [OPENING, table(["what", "theirs", "ours"], _compared(found), str), DIFFERS.format(**found), _speed(found["speed"])]
    parts += [_quality(found["quality"]), _sustained(found["speed"]), _links(found["links"], found["over_links"])]
    return "\n\n".join(part for part in parts if part)


def _compared(found: Mapping[str, Any]) -> list[list[str]]:
    speed = {row["weights"]: row for row in found["speed"]}
    ours = [
        f"decoded tokens/s over those of float32: {_ratios(speed, 'decode_tokens_per_s')}",
        f"file over that of float32: {_ratios(speed, 'file_mb')}; resident: {_ratios(speed, 'peak_mb')}",
        _quality_told(found["quality"]),
        _sustained_told(found["speed"]),
        "not measured",
        _links_told(found["links"]),
    ]
    return [[what, theirs, one] for (what, theirs), one in zip(THEIRS, ours, strict=True)]


def _ratios(speed: Mapping[str, Row], name: str) -> str:
    return ", ".join(f"{weights} {speed[weights][name] / speed['float32'][name]:.2f}" for weights in ("int8", "int4"))


def _quality_told(quality: Sequence[Row]) -> str:
    told = [f"{row['weights']} {row['perplexity'] / row['perplexity_float32'] - 1:+.1%}" for row in quality[1:]]
    return f"perplexity {', '.join(told)}" if told else "not measured"


def _sustained_told(speed: Sequence[Row]) -> str:
    windows = next((row["windows"] for row in speed if row["windows"]), [])
    if len(windows) < 2:
        return "not measured"
    change = windows[-1]["tokens_per_s"] / windows[0]["tokens_per_s"] - 1
    return f"{change:+.0%} tokens/s from the first {windows[0]['at_s']:.0f} s to the last, over {windows[-1]['at_s']:.0f} s"


def _links_told(rows: Sequence[Row]) -> str:
    alone = next(row for row in rows if not row["link"])
    split = [row for row in rows if row["placement"].startswith("split")]
    told = [f"{row['tokens_per_s'] / alone['tokens_per_s']:.2f} times over {row['link']}" for row in split]
    return f"the split gives {', '.join(told)} the tokens/s of the device alone"


def _speed(rows: Sequence[Row]) -> str:
    cells = [
        [
            row["weights"],
            f"{row['prefill_tokens_per_s']:.0f}",
            f"{row['decode_tokens_per_s']:.1f} ({row['decode_range'][0]:.1f} to {row['decode_range'][1]:.1f})",
            f"{row['file_mb']:.0f}",
            f"{row['peak_mb']:.0f}",
        ]
        for row in rows
    ]
    columns = ["weights", "prefill tokens/s", "decode tokens/s (range)", "file MB", "resident MB"]
    first = rows[0]
    told = SPEED_TOLD.format(rounds=first["rounds"], prompt=first["prompt"], tokens=first["tokens"], before=first["before_mb"])
    return f"{SPEED}\n\n{table(columns, cells, str)}\n\n{told}"


def _quality(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    columns = ["weights", "perplexity", "of float32", "same likeliest token", "tokens", "text"]
    cells = [
        [
            row["weights"],
            f"{row['perplexity']:.3f}",
            f"{row['perplexity'] / row['perplexity_float32'] - 1:+.2%}",
            f"{row['agreement']:.1%}",
            row["tokens"],
            row["text"],
        ]
        for row in rows
    ]
    return f"{QUALITY}\n\n{table(columns, cells, str)}"


def _sustained(rows: Sequence[Row]) -> str:
    run = next((row for row in rows if row["windows"]), None)
    if run is None:
        return ""
    cells = [
        [f"{one['at_s']:.0f}", f"{one['tokens_per_s']:.1f}", _known(one["hottest_c"], "{:.0f}"), _slowed(one)]
        for one in run["windows"]
    ]
    told = (
        f"{run['weights']}, prompts and answers one behind the other; tokens/s are decoded ones over all time, prefill included."
    )
    return f"{SUSTAINED}\n\n{told}\n\n" + table(["until s", "tokens/s", "hottest degrees C", "throttled"], cells, str)


def _known(value: float | None, how: str) -> str:
    return "not measured" if value is None else how.format(value)


def _slowed(window: Row) -> str:
    if window["throttled"] is None:
        return "not measured"
    return ", ".join(window["throttled"]) or f"no ({window['throttling_events']} events since the start)"


def _links(rows: Sequence[Row], how: Row) -> str:
    cells = [
        [
            row["link"] or "none",
            row["placement"],
            f"{row['first_ms']:.0f}",
            f"{row['tokens_per_s']:.1f}",
            f"{row['token_up']:.0f}",
            f"{row['device_cpu_ms']:.1f}",
            _known(row["server_cpu_ms"], "{:.1f}") if row["link"] else "-",
            f"{row['device_mb']:.0f}",
        ]
        for row in rows
    ]
    columns = [
        "link",
        "placement",
        "first token ms",
        "tokens/s",
        "bytes up a token",
        "device CPU ms",
        "server CPU ms",
        "device MB",
    ]
    told = LINKS_TOLD.format(**how, prompt=rows[0]["prompt"], tokens=rows[0]["tokens"])
    return f"{LINKS}\n\n{table(columns, cells, str)}\n\n{told}"
