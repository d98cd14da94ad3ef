"""`isthmus chat`: talk to a language model whose first layers run here."""

import dataclasses
import platform
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isthmus.bench.words import size
from isthmus.cli import guard
from isthmus.cli.bundles import BundleArgument, JsonOption, TrustOption
from isthmus.cli.connection import InsecureOption, TlsCaOption, TlsCertOption, TlsKeyOption, TokenFileOption, credentials
from isthmus.cli.quantity import seconds
from isthmus.cli.results import print_json
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.contract.bundle import LanguageBundle
    from isthmus.devices.sampler import Sampling
    from isthmus.head.conversation.chat import Answer, Chat
    from isthmus.head.conversation.conversation import Conversation

_SAMPLING, _CONNECTION = "Sampling; by default as the bundle recommends", "Connection"
PROMPT_MAX_BYTES = 4 << 20
"""Of a prompt from standard input: more than any model reads."""


def chat(
    bundle: BundleArgument,
    tail: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Server of the same bundle; repeatable."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Answer this and end; default standard input.")] = None,
    system: Annotated[str, typer.Option(help="What the model is told first.")] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 512,
    stop: Annotated[list[str] | None, typer.Option(help="End an answer before this text; repeatable.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Everything here, with the bundle's local.onnx; no server.")] = False,
    layout: Annotated[
        Literal["head-tail", "sandwich", "tokens"] | None,
        typer.Option(help="What crosses: as the bundle was cut, or tokens: token ids to a server that has the whole model."),
    ] = None,
    hidden: Annotated[Literal["fp16", "int8", "int4"], typer.Option(help="How hidden states cross.")] = "int8",
    threads: Annotated[int, typer.Option(min=1, help="onnxruntime threads.")] = 1,
    patience: Annotated[str, typer.Option(help="How long a server is looked for where the device cannot go on alone.")] = "15s",
    temperature: Annotated[float | None, typer.Option(rich_help_panel=_SAMPLING, help="0 takes the likeliest token.")] = None,
    top_k: Annotated[int | None, typer.Option(rich_help_panel=_SAMPLING, help="Of the likeliest tokens only; 0: all.")] = None,
    top_p: Annotated[float | None, typer.Option(rich_help_panel=_SAMPLING, help="Of the fewest that hold this share.")] = None,
    min_p: Annotated[float | None, typer.Option(rich_help_panel=_SAMPLING, help="At least this share of the likeliest.")] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(rich_help_panel=_SAMPLING, help="Above 1 repeats the answer's own tokens less.")
    ] = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=_SAMPLING, help="The same gives the same answer.")] = None,
    logprobs: Annotated[int, typer.Option(rich_help_panel=_SAMPLING, help="Likeliest tokens to report, with --json.")] = 0,
    trust: TrustOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    token_file: TokenFileOption = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """Talk to a language model that is cut: its first layers run here, the others on a server, which gets no token of the prompt.

    Answers stream to standard output; what each one cost is said on standard error. Hidden states can be turned back into text,
    so this is no privacy. When no server answers, a bundle with local.onnx goes on alone, and that is said.
    """
    guard.only_warnings()
    from isthmus.codec.payload import Mode
    from isthmus.head.addresses import preferred_order
    from isthmus.head.conversation.conversation import Conversation
    from isthmus.head.conversation.settings import TalkSettings

    if local and (tail or layout):
        raise UsageError("--local asks no server; leave --tail and --layout out, or --local")
    opened = _open(bundle, trust)
    wanted = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
    }
    sampling = _sampling(opened, wanted, secrets.randbits(32) if seed is None else seed, logprobs if as_json else 0)
    settings = TalkSettings(
        layout=layout or "",
        mode=Mode[f"HIDDEN_{hidden.upper()}"],
        local=local,
        device_id=platform.node() or "chat",
        threads=threads,
        patience_s=seconds(patience, "--patience"),
    )
    shown = credentials(tls_ca, tls_cert, tls_key, token_file, insecure=insecure)
    conversation = Conversation(
        opened, preferred_order(settings.device_id, tail or ()), sampling=sampling, settings=settings, credentials=shown
    )
    try:
        talk = _chat(opened, conversation, system, tuple(stop or ()), max_tokens)
        rows = [_told(talk, conversation, question, quiet=as_json) for question in _questions(prompt, as_json=as_json)]
    finally:
        conversation.close()
    if as_json:
        meta = {"command": "chat", "bundle": str(bundle), "layout": "local" if local else conversation.layout, "hidden": hidden}
        print_json({**meta, "sampling": dataclasses.asdict(sampling)}, rows)


def _open(path: Path, trust: Path | None) -> "LanguageBundle":
    from isthmus.contract.bundle import open_language
    from isthmus.contract.trust import read_trusted

    return open_language(path, trusted=read_trusted(trust) if trust else None)


def _sampling(bundle: "LanguageBundle", wanted: dict[str, Any], seed: int, logprobs: int) -> "Sampling":
    from isthmus.devices.sampler import Sampling
    from isthmus.errors import RemoteProtocolError

    given = {name: value for name, value in wanted.items() if value is not None}
    try:
        return dataclasses.replace(Sampling.of(bundle.manifest.generation), **given, seed=seed, logprobs=logprobs)
    except RemoteProtocolError as error:
        raise UsageError(str(error)) from error


def _chat(bundle: "LanguageBundle", conversation: "Conversation", system: str, stops: tuple[str, ...], max_tokens: int) -> "Chat":
    from isthmus.head.conversation.chat import Chat
    from isthmus.head.conversation.words import Words

    return Chat(conversation, Words(bundle), system=system, stops=stops, max_tokens=max_tokens)


def _questions(prompt: str | None, *, as_json: bool) -> Iterator[str]:
    """The one that was given, all of standard input, or lines of a terminal until it ends."""
    if prompt is not None:
        yield prompt
    elif as_json or not sys.stdin.isatty():
        text = sys.stdin.read(PROMPT_MAX_BYTES + 1)
        if len(text) > PROMPT_MAX_BYTES:
            raise UsageError(f"standard input has more than the {PROMPT_MAX_BYTES} characters that are read of a prompt")
        yield text
    else:
        while question := _line():
            yield question


def _line() -> str:
    """One line of a terminal that is not empty; empty at its end."""
    while True:
        guard.err.print("> ", end="", style="bold")
        line = sys.stdin.readline()
        if not line or line.strip():
            return line.strip()


def _told(talk: "Chat", conversation: "Conversation", question: str, *, quiet: bool) -> dict[str, Any]:
    """Have a question answered, and show the answer unless it is `quiet`."""
    for text in talk.ask(question):
        if not quiet:
            typer.echo(text, nl=False)
    answer = talk.answer
    if not quiet:
        typer.echo()
        guard.err.print(_status(answer, conversation.address), style="dim", markup=False, highlight=False)
    return _row(question, answer, conversation.address)


def _status(answer: "Answer", address: str) -> str:
    """What an answer cost, in one line."""
    rate = "" if answer.tokens_per_s is None else f", {answer.tokens_per_s:.1f} tokens/s"
    where = " + ".join(f"{count} {placement}" for placement, count in answer.placements.items())
    told = f"{len(answer.tokens)} tokens{rate}, first after {answer.first_s:.2f} s; up {size(answer.bytes_up)}, down "
    told += f"{size(answer.bytes_down)}; {where}" + (f" at {address}" if address else "")
    if answer.changes:
        told += f"; the link was lost {answer.changes} times"
    return told + (f"; finished on this device: {answer.lost}" if answer.lost else "")


def _row(question: str, answer: "Answer", address: str) -> dict[str, Any]:
    return {
        "prompt": question,
        "text": answer.text,
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
        "tokens": [drawn.id for drawn in answer.tokens],
        # Servers tell them only where they are asked to.
        "logprobs": [[list(one) for one in drawn.likeliest] for drawn in answer.tokens if drawn.likeliest],
        "first_s": answer.first_s,
        "total_s": answer.total_s,
        "tokens_per_s": answer.tokens_per_s,
        "bytes_up": answer.bytes_up,
        "bytes_down": answer.bytes_down,
        "placements": answer.placements,
        "server": address,
        "links_lost": answer.changes,
        "local_because": answer.lost,
    }
