"""What `export` and `inspect` do with language models."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.results import print_json, print_table
from isthmus.contract.language import HEAD, LAST, LOCAL, TAIL, Layers
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.contract.bundle import LanguageBundle
    from isthmus.contract.key import PrivateKey
    from isthmus.contract.language import Fidelity, LanguageManifest, Weights
    from isthmus.export.language.settings import LanguageSettings

ALONE = frozenset({"layout", "positions", "head_weights", "tail_weights"})
"""Options of `export`, by parameter, that mean nothing for anything else."""
OPTIONS = ALONE | {"model", "output", "cut", "data", "local", "sign", "version", "licence", "as_json"}
"""Those that mean something for a language model."""
LOCAL_WEIGHTS: "dict[str, Weights]" = {"whole": "float32", "int8": "int8", "int4": "int4"}


def check_options(context: typer.Context, *, is_language_model: bool) -> None:
    """Refuse options of `export` that mean nothing for what is exported.

    Raises:
        UsageError: one was given.
    """
    what = "a language model" if is_language_model else "a network that is no language model"
    for parameter in context.command.params:
        name = parameter.name or ""
        fits = name in OPTIONS if is_language_model else name not in ALONE
        source = context.get_parameter_source(name)
        if not fits and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"{parameter.opts[0]} means nothing for {what}; leave it out")


def local_weights(text: str | None) -> "Weights | None":
    """What `--local` asks for.

    Raises:
        UsageError: none of `LOCAL_WEIGHTS`.
    """
    if text is None or text in LOCAL_WEIGHTS:
        return None if text is None else LOCAL_WEIGHTS[text]
    raise UsageError(f"--local {text}: of a language model {', '.join(LOCAL_WEIGHTS)} can be had")


def export(folder: Path, output: Path, settings: "LanguageSettings", *, signer: "PrivateKey | None", as_json: bool) -> None:
    """Cut the model of a folder and write a bundle."""
    from isthmus.contract.sealing import sign_bundle
    from isthmus.export.language.exporter import export as make

    bundle = make(folder, output, settings, on_step=lambda words: guard.err.print(words, highlight=False))
    if signer is not None:
        sign_bundle(output, signer)
    manifest = bundle.manifest
    if as_json:
        meta = {"command": "export", "bundle": str(output), "contract_digest": bundle.digest}
        print_json(meta, [gate.model_dump() for gate in manifest.gates])
        return
    guard.out.print(f"{output}: {_layers(manifest)}, {size(bundle.size_bytes())}, contract {bundle.digest[:12]}", highlight=False)
    for one in manifest.fidelity:
        guard.out.print(
            f"{one.network}: {one.agreement:.2%} of {one.tokens} tokens as in float32, perplexity {one.perplexity:.3f} instead "
            f"of {one.perplexity_float32:.3f}",
            highlight=False,
        )
    guard.out.print(f"Next: isthmus inspect {output}", highlight=False)


def _layers(manifest: "LanguageManifest") -> str:
    """How many are where.

    >>> from types import SimpleNamespace
    >>> part = SimpleNamespace(layers=2)
    >>> _layers(SimpleNamespace(layers=6, head=part, tail=part, last=part))
    '2 + 2 of 6 layers on the device'
    """
    last = "" if manifest.last is None else f" + {manifest.last.layers}"
    return f"{manifest.head.layers}{last} of {manifest.layers} layers on the device"


def show(bundle: "LanguageBundle", signature: str) -> None:
    """What a bundle holds, in tables."""
    manifest = bundle.manifest
    groups = [f"{group.layers} layers of {group.heads} heads of {group.width}" for group in manifest.key_values]
    facts = [
        ["id", f"{manifest.id}, version {manifest.version} (schema {manifest.schema_version})"],
        ["contract", manifest.contract_digest[:16]],
        ["source", manifest.source or "not recorded"],
        ["architecture", manifest.architecture],
        ["layout", f"{manifest.layout}: {_layers(manifest)}"],
        ["crosses", f"hidden states of {manifest.width} values a token"],
        ["vocabulary", f"{manifest.vocabulary:,} tokens; {', '.join(map(str, manifest.eos)) or 'none'} end an answer"],
        ["positions", f"{manifest.positions_max:,} at most"],
        ["cache", f"{manifest.cache}; keys and values of {', '.join(groups)}"],
        ["size", size(bundle.size_bytes())],
        ["written", f"{manifest.created} by {manifest.writer}"],
        ["signature", signature],
        ["licence", manifest.licence or "not recorded"],
    ]
    print_table(f"Bundle {bundle.origin.name}", ["what", "value"], facts)
    networks = [(HEAD, manifest.head), (TAIL, manifest.tail), (LAST, manifest.last), (LOCAL, manifest.local)]
    rows = [_network(name, part) for name, part in networks if part is not None]
    print_table("Networks", ["network", "layers", "weights", "parameters", "size"], rows)
    if manifest.fidelity:
        columns = ["networks", "same token likeliest", "perplexity", "in float32", "on"]
        print_table("Beside the model in float32", columns, [_fidelity(one) for one in manifest.fidelity])
    gates = [[gate.name, f"{gate.value:.3g}", f"{gate.limit:.3g}", gate.detail] for gate in manifest.gates]
    print_table("Gates passed at export", ["gate", "value", "at most", "on"], gates)


def _fidelity(one: "Fidelity") -> list[str]:
    text = f"{one.tokens} tokens of {one.text}"
    return [one.network, f"{one.agreement:.2%}", f"{one.perplexity:.3f}", f"{one.perplexity_float32:.3f}", text]


def _network(name: str, part: Layers) -> list[str]:
    last = part.first + part.layers - 1
    return [name, f"{part.first} to {last}", part.weights, f"{part.parameters:,}", size(part.size_bytes)]
