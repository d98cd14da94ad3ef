"""Servers killed and links cut in the middle of an answer: how long it pauses, whether a token is wrong, what is sent again.

The server's process gets SIGKILL; of a link the shaper's process is halted, so that nothing arrives any more and no connection
breaks. Either happens while a step is under way. The device is this process, which does nothing else meanwhile.
"""

import contextlib
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.llm.models import Say

from isthmus.bench import programs
from isthmus.bench.programs import Program
from isthmus.codec.hidden.rows import row_bytes
from isthmus.contract.bundle import LanguageBundle
from isthmus.devices import link as profiles
from isthmus.devices.sampler import Sampling
from isthmus.head.conversation.conversation import Conversation
from isthmus.head.conversation.settings import TalkSettings

KILLED, CUT = "server killed", "link cut"
ALONE, SECOND = "goes on alone", "goes on at a second server"
LINK = "10mbit/20ms"
UNDER_WAY_S = 0.01
"""From a token to the trouble: the next step is on its way by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured.

    Attributes:
        prompt, tokens: of a conversation.
        trouble: tokens before it.
        rounds: of every kind of trouble.
    """

    prompt: int = 64
    tokens: int = 24
    trouble: int = 10
    rounds: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One answer.

    Attributes:
        ids: its tokens.
        placements: where they were drawn.
        pause_s: the longest wait for a token from the trouble on.
        token_s: median time of those before it.
        bytes_up: of messages, from the last token before the trouble to the one behind the pause.
    """

    ids: list[int]
    placements: list[str]
    pause_s: float
    token_s: float
    bytes_up: int


def measure(pairs: Sequence[tuple[str, LanguageBundle]], size: Size, *, say: Say) -> list[dict[str, Any]]:
    """A row for each kind of trouble and each way out of it.

    Args:
        pairs: the way out, and the bundle: with the whole model to go on alone with one server, without it with two servers.
        size: how much.
        say: told what is done.
    """
    found = []
    for then, bundle in pairs:
        with contextlib.ExitStack() as stack:
            extra = ("--pictures", "off")
            kept = [stack.enter_context(programs.server(bundle.origin, extra=extra)) for _ in range(2)]
            others = [kept[1].match["grpc"]] if then is SECOND else []
            expected = [_undisturbed(bundle, kept[1].match["grpc"], size, turn) for turn in range(size.rounds)]
            for what in (KILLED, CUT):
                say(f"outages: {what}, {bundle.manifest.tail.weights}, the answer {then}")
                told = [_disturbed(bundle, kept[0] if what is CUT else None, others, size, turn) for turn in range(size.rounds)]
                found.append(_row(what, then, bundle, size, told, expected))
    return found


def _undisturbed(bundle: LanguageBundle, address: str, size: Size, turn: int) -> list[int]:
    with _conversation(bundle, [address], turn) as conversation:
        tokens = conversation.answer(_prompt(bundle, size))
        return [token.drawn.id for _, token in zip(range(size.tokens), tokens, strict=False)]


def _disturbed(bundle: LanguageBundle, kept: Program | None, others: Sequence[str], size: Size, turn: int) -> Told:
    """One answer with its trouble; a server that is killed is one of its own."""
    with contextlib.ExitStack() as stack:
        server = kept or stack.enter_context(programs.server(bundle.origin, extra=("--pictures", "off")))
        shaper = stack.enter_context(programs.shaper(server.match["grpc"], profiles.parse(LINK)))
        # One that is halted does not end.
        stack.callback(os.kill, shaper.pid, signal.SIGCONT)
        conversation = stack.enter_context(_conversation(bundle, [shaper.match["address"], *others], turn))
        trouble = (shaper.pid, signal.SIGSTOP) if kept else (server.pid, signal.SIGKILL)
        return _answer(conversation, _prompt(bundle, size), size, trouble)


@contextlib.contextmanager
def _conversation(bundle: LanguageBundle, addresses: Sequence[str], turn: int) -> Iterator[Conversation]:
    """Tokens are drawn by chance, so that none comes again by itself and a wrong one shows."""
    settings = TalkSettings(device_id="benchmark")
    conversation = Conversation(bundle, addresses, sampling=Sampling(temperature=1.0, seed=turn), settings=settings)
    try:
        yield conversation
    finally:
        conversation.close()


def _prompt(bundle: LanguageBundle, size: Size) -> list[int]:
    ids: list[int] = np.random.default_rng(6).permutation(bundle.manifest.vocabulary)[: size.prompt].tolist()
    return ids


def _answer(conversation: Conversation, prompt: list[int], size: Size, trouble: tuple[int, int]) -> Told:
    tokens, stamps, crossed, at = [], [], [], [0.0]

    def happen() -> None:
        at[0] = time.perf_counter()
        os.kill(*trouble)

    for count, token in zip(range(1, size.tokens + 1), conversation.answer(prompt), strict=False):
        stamps.append(time.perf_counter())
        tokens.append(token)
        crossed.append(conversation.bytes_up_down[0])
        if count == size.trouble:
            timer = threading.Timer(UNDER_WAY_S, happen)
            timer.start()
    timer.join()
    begins = [max(one, at[0]) for one in stamps[size.trouble - 1 :]]
    pauses = [after - before for before, after in zip(begins, stamps[size.trouble :], strict=False)]
    longest = int(np.argmax(pauses))
    return Told(
        ids=[token.drawn.id for token in tokens],
        placements=[token.placement for token in tokens],
        pause_s=pauses[longest],
        token_s=float(np.median(np.diff(stamps[: size.trouble]))),
        bytes_up=crossed[size.trouble + longest] - crossed[size.trouble - 1 + longest],
    )


def _row(
    what: str, then: str, bundle: LanguageBundle, size: Size, told: Sequence[Told], expected: Sequence[list[int]]
) -> dict[str, Any]:
    """Over the rounds; `history_bytes` is what the device keeps of the rows when the trouble comes."""
    wrong = [_wrong(bundle, one, right, turn, size) for turn, (one, right) in enumerate(zip(told, expected, strict=True))]
    pauses = [1e3 * one.pause_s for one in told]
    return {
        "kind": "outage",
        "what": what,
        "then": then,
        "weights": bundle.manifest.tail.weights,
        "rounds": len(told),
        "pause_ms": statistics.median(pauses),
        "pause_most_ms": max(pauses),
        "token_ms": 1e3 * statistics.median(one.token_s for one in told),
        "wrong": sum(wrong),
        "tokens": sum(len(one.ids) for one in told),
        "alone": sum(one.placements.count("local") for one in told),
        "sent_bytes": float(statistics.median(one.bytes_up for one in told)),
        "history_bytes": float((size.prompt + size.trouble) * row_bytes(TalkSettings().mode, bundle.manifest.width)),
    }


def _wrong(bundle: LanguageBundle, told: Told, expected: list[int], turn: int, size: Size) -> int:
    """Tokens that differ from those without trouble; from where the device went on alone, from those of its own network."""
    there = told.placements.index("local") if "local" in told.placements else len(told.ids)
    right = expected[:there]
    if there < len(told.ids):
        with _alone(bundle, turn) as conversation:
            tokens = conversation.answer([*_prompt(bundle, size), *told.ids[:there]])
            right = [*right, *(token.drawn.id for _, token in zip(range(len(told.ids) - there), tokens, strict=False))]
    return sum(one != other for one, other in zip(told.ids, right, strict=False)) + size.tokens - len(told.ids)


@contextlib.contextmanager
def _alone(bundle: LanguageBundle, turn: int) -> Iterator[Conversation]:
    settings = TalkSettings(local=True)
    conversation = Conversation(bundle, sampling=Sampling(temperature=1.0, seed=turn), settings=settings)
    try:
        yield conversation
    finally:
        conversation.close()
