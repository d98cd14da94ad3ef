"""A conversation with a language model whose layers are here, there and here again: tokens in, tokens out.

The conversation is a list of tokens and the compressed rows of those that crossed. Before a token is drawn, whatever the server
lacks of the rows is sent, from the history or fresh from the head. So a prompt in chunks, one more token, a resumed session and
a replay at another server are one and the same. A draw depends on logits, seed and position only: asked again, it is the same.
"""

import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import MODES, HiddenCodec
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import DEFAULT
from isthmus.devices.sampler import Drawn, Sampling, draw
from isthmus.errors import ConfigError, DeviceError, IsthmusError, RemoteProtocolError, TailUnavailable, Unreachable, UsageError
from isthmus.head.conversation.exchange import STEP_S, Exchange, greeting
from isthmus.head.conversation.history import History
from isthmus.head.conversation.near import Near
from isthmus.head.conversation.route import CONNECT_S, HASTY_CONNECT_S, Route
from isthmus.head.conversation.settings import TOKENS, TalkSettings
from isthmus.head.credentials import Credentials

CHUNK_ROWS = 64
"""Of a prompt in one step: the head computes one while the one before it is on its way."""
ROOM = 64
"""Positions expected of an answer, for the server's first cache; it grows."""
LOSSES_MAX = 10
"""Streams that may be lost over one token: a server that takes everybody and answers nobody ends here."""
BUSY_S = 0.2
"""Pause after a step for which the server had no room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token of an answer.

    Attributes:
        drawn: the token, and how likely it was.
        placement: where it was drawn: the layout, or `local`.
    """

    drawn: Drawn
    placement: str


class Conversation:
    """One conversation; used by one thread.

    Args:
        bundle: opened and checked; the servers hold the same.
        addresses: `host:port` of equal servers, the best one first; none with `local`.
        sampling: how tokens are drawn.
        settings: layout, mode, patience.
        credentials: TLS and token.

    Raises:
        ConfigError: there is no server to ask, or no `local.onnx` to do without.
        UsageError: the layout is not one of the bundle.
        BundleError: a network is missing or damaged.
    """

    def __init__(
        self,
        bundle: LanguageBundle,
        addresses: Sequence[str] = (),
        *,
        sampling: Sampling,
        settings: TalkSettings | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.bundle = bundle
        self.sampling = sampling
        self.settings = settings or TalkSettings()
        self.layout = self.settings.layout or bundle.manifest.layout
        if self.layout not in (bundle.manifest.layout, TOKENS):
            raise UsageError(f"layout {self.layout!r} is not that of {bundle.origin}: {bundle.manifest.layout} or {TOKENS}")
        splits = self.layout != TOKENS and not self.settings.local
        self._near = Near(bundle, threads=self.settings.threads, splits=splits)
        if self.settings.local and not self._near.has_local:
            raise ConfigError(f"{bundle.origin} has no local.onnx to answer with alone; name a server with --tail")
        self.mode = self.settings.mode
        """Of hidden states from now on; it may change at any time."""
        self._codec = HiddenCodec(of_bundle(bundle, bundle.manifest.width))
        self._history = History(bundle.manifest.width)
        self._ids: list[int] = []
        self._answer_begin = 0
        self._under_way: deque[wire.Rows] = deque()
        """Steps without a reply."""
        self._drawn: Drawn | None = None
        self._sequence = 0
        self._route = (
            None
            if self.settings.local
            else Route(addresses, self._greet, credentials or Credentials(), on_doubt=self._make_ready)
        )
        self.lost: IsthmusError | None = None
        """Why the device went on alone in the last answer."""

    @property
    def ids(self) -> tuple[int, ...]:
        """All tokens."""
        return tuple(self._ids)

    @property
    def address(self) -> str:
        """Of the server; empty without one."""
        return "" if self._route is None else self._route.address

    @property
    def changes(self) -> int:
        """Streams that were lost."""
        return 0 if self._route is None else self._route.changes

    @property
    def bytes_up_down(self) -> tuple[int, int]:
        """Of messages to and from servers."""
        return (0, 0) if self._route is None else self._route.bytes_up_down

    def answer(self, prompt: Sequence[int]) -> Generator[Token, None, None]:
        """Draw tokens behind a prompt, until the model ends its answer or whoever takes them has enough.

        Args:
            prompt: the whole conversation so far. What it has in common with the one that was had here is not computed again.

        Yields:
            Every token that is drawn, an ending one too.

        Raises:
            UsageError: the prompt is empty or longer than the model takes, or has tokens that the model has not.
            TailUnavailable: no server answers and the device cannot go on alone.
            IsthmusError: the server refuses.
        """
        self._begin(list(prompt))
        while len(self._ids) <= self.bundle.manifest.positions_max:
            drawn, placement = self._draw()
            self._ids.append(drawn.id)
            yield Token(drawn=drawn, placement=placement)
            if drawn.id in self.bundle.manifest.eos:
                return

    def close(self) -> None:
        """End the conversation, here and on the server."""
        if self._route is not None:
            self._route.close()
        self._near.close()

    def _begin(self, prompt: list[int]) -> None:
        manifest = self.bundle.manifest
        if not 0 < len(prompt) <= manifest.positions_max:
            raise UsageError(f"the conversation has {len(prompt)} tokens, the model takes 1 to {manifest.positions_max}")
        if not all(0 <= one < manifest.vocabulary for one in prompt):
            raise UsageError(f"the tokenizer gives token {max(prompt)}, the model has {manifest.vocabulary}")
        same = next((index for index, (a, b) in enumerate(zip(self._ids, prompt, strict=False)) if a != b), None)
        common = min(len(self._ids), len(prompt)) if same is None else same
        self._history.truncate(common)
        self._near.truncate(common)
        self._ids, self._answer_begin, self.lost = prompt, len(prompt), None
        if self._route is not None:
            self._route.go_back(common)
            self._route.drew = False

    def _draw(self) -> tuple[Drawn, str]:
        if self._route is None or self.lost is not None:
            return self._draw_here(), "local"
        try:
            return self._draw_at_any(self._route), self.layout
        except TailUnavailable as error:
            if not self._near.has_local:
                raise
            self.lost = error
        return self._draw_here(), "local"

    def _draw_at_any(self, route: Route) -> Drawn:
        """The token from whichever server answers. Where the device can go on alone, one that fell silent is not waited for."""
        silent_at, last, alone = "", None, self._near.has_local
        for _ in range(LOSSES_MAX):
            exchange = route.find(
                patience_s=0.0 if alone else self.settings.patience_s,
                timeout_s=HASTY_CONNECT_S if alone and last is not None else CONNECT_S,
                but=silent_at if alone else "",
                last=silent_at,
            )
            try:
                return self._draw_there(route, exchange)
            except TailUnavailable as error:
                silent_at, last = exchange.address if exchange.is_silent else silent_at, error
                route.lose(error)
        raise TailUnavailable(f"one server after another was lost, the last one: {last}")

    def _make_ready(self) -> None:
        """The server may be lost: load what goes on alone meanwhile."""
        if self._near.has_local:
            self._near.prepare_local(self._ids)

    def _draw_here(self) -> Drawn:
        logits = self._near.local_logits(self._ids)
        return draw(logits, self.sampling, position=len(self._ids), answer=self._ids[self._answer_begin :])

    def _draw_there(self, route: Route, exchange: Exchange) -> Drawn:
        """Send what the server lacks; the token that comes back."""
        self._under_way.clear()
        self._drawn = None
        until = time.monotonic() + STEP_S
        # Where the server has every row already, its reply was lost: the last row goes once more.
        route.go_back(len(self._ids) - 1)
        while (drawn := self._take_drawn()) is None:
            if time.monotonic() > until:
                raise Unreachable(f"{exchange.address} has not computed a step for {STEP_S:g} s")
            while route.held < len(self._ids):
                if exchange.has_credit:
                    self._send(route, exchange)
                elif exchange.unanswered:
                    self._collect(route, exchange)
                else:
                    exchange.wait_credit()
            while exchange.unanswered:
                self._collect(route, exchange)
        route.drew = True
        return drawn

    def _take_drawn(self) -> Drawn | None:
        """The token, once it came."""
        drawn, self._drawn = self._drawn, None
        return drawn

    def _send(self, route: Route, exchange: Exchange) -> None:
        pos = route.held
        self._sequence += 1
        rows = wire.Rows(sequence=self._sequence, pos=pos)
        self._fill(rows, pos)
        rows.sample = pos + rows.count == len(self._ids)
        if rows.sample and not route.drew and self.sampling.repetition_penalty != 1:
            rows.answer.extend(self._ids[self._answer_begin :])
        exchange.send(rows)
        self._under_way.append(rows)
        route.held = pos + rows.count

    def _fill(self, rows: wire.Rows, pos: int) -> None:
        """Put the next rows into a step: from the history, or fresh from the head."""
        if self.layout == TOKENS:
            some = self._ids[pos : pos + DEFAULT.rows]
            rows.token_ids.ids.extend(some)
            rows.count = len(some)
        elif pos < len(self._history):
            rows.hidden, rows.count = self._history.stretch(pos, DEFAULT.rows)
        else:
            hidden = self._near.hidden(self._ids[pos : pos + CHUNK_ROWS], pos)
            rows.hidden, rows.count = self._codec.encode(hidden, self.mode), len(hidden)
            self._history.append(rows.hidden)

    def _collect(self, route: Route, exchange: Exchange) -> None:
        """Take one reply; where the server could not go on, the rest too, and go back to what it holds."""
        reply = exchange.reply()
        asked = self._under_way.popleft()
        if reply.sequence != asked.sequence:
            raise RemoteProtocolError(f"{exchange.address} answered step {reply.sequence} where {asked.sequence} was the next")
        if reply.status == wire.STATUS_OK:
            route.confirmed = asked.pos + asked.count
            self._take(reply, asked)
            return
        held = reply.pos
        while exchange.unanswered:
            held = exchange.reply().pos
        self._under_way.clear()
        if reply.status == wire.STATUS_OVERLOADED:
            time.sleep(BUSY_S)
        elif reply.status == wire.STATUS_FAILED:
            raise DeviceError(f"{exchange.address}: {reply.message}")
        elif reply.status != wire.STATUS_KEY_FRAME_NEEDED:
            raise RemoteProtocolError(f"{exchange.address}: {reply.message or 'a step was not computed'}")
        route.go_back(held)

    def _take(self, reply: wire.Tokens, asked: wire.Rows) -> None:
        if self._near.last is not None:
            self._take_hidden(self._codec.decode(reply.hidden, asked.count), asked.pos)
        elif asked.sample:
            if not reply.ids:
                raise RemoteProtocolError(f"the server drew no token behind position {asked.pos + asked.count - 1}")
            detail = reply.details[0] if reply.details else wire.TokenDetail()
            likeliest = tuple((one.id, one.logprob) for one in detail.most_likely)
            self._check_token(reply.ids[0])
            self._drawn = Drawn(id=reply.ids[0], logprob=detail.logprob, likeliest=likeliest)

    def _take_hidden(self, hidden: np.ndarray, pos: int) -> None:
        """Of the sandwich: what comes back goes through the last layers here, each row once."""
        end = pos + len(hidden)
        done = min(len(self._near.last or ()), end - 1)
        if done < pos:
            raise RemoteProtocolError(f"rows of position {pos} came back, the last layers have {done}")
        logits = self._near.logits(hidden[done - pos :], done)
        if end == len(self._ids):
            self._drawn = draw(logits, self.sampling, position=end, answer=self._ids[self._answer_begin :])

    def _check_token(self, token: int) -> None:
        if token >= self.bundle.manifest.vocabulary:
            raise RemoteProtocolError(f"the server drew token {token}, the model has {self.bundle.manifest.vocabulary}")

    def _greet(self, session: bytes) -> wire.GenerateOpen:
        offered = [self.mode, *(mode for mode in MODES if mode is not self.mode)]
        return greeting(
            self.bundle.manifest.id,
            self.bundle.digest,
            modes=offered,
            device_id=self.settings.device_id,
            layout=self.layout,
            sampling=self.sampling.message(),
            positions=min(len(self._ids) + ROOM, self.bundle.manifest.positions_max),
            session=session,
        )
