"""One conversation of the demo: a text goes on in a few stretches of fixed length, and what each token cost."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from isthmus.head.conversation.conversation import Conversation, Token
from isthmus.head.conversation.words import Words


@dataclass(slots=True, kw_only=True, eq=False)
class Talk:
    """What was said, and what it cost.

    Attributes:
        ids: all tokens, those of the prompts too.
        drawn: position in `ids` and where it was drawn (the layout, or `local`), for every token that was drawn.
        firsts_s: from each prompt to its first token.
        gaps_s: time of every other token.
        prompts_up: bytes of messages up until the first tokens.
        up, down: bytes of messages for the other tokens.
        lost: why the device went on alone; empty if it did not.
    """

    ids: list[int] = field(default_factory=list)
    drawn: list[tuple[int, str]] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    prompts_up: int = 0
    up: int = 0
    down: int = 0
    lost: str = ""

    def add(self, token: Token, spent_s: float, crossed: tuple[int, int], *, is_first: bool) -> None:
        """One more token.

        Args:
            token: as it came.
            spent_s: on it.
            crossed: bytes up and down for it.
            is_first: whether it is the first behind a prompt.
        """
        self.drawn.append((len(self.ids), token.placement))
        self.ids.append(token.drawn.id)
        (self.firsts_s if is_first else self.gaps_s).append(spent_s)
        if is_first:
            self.prompts_up += crossed[0]
        else:
            self.up, self.down = self.up + crossed[0], self.down + crossed[1]


def hold(
    conversation: Conversation,
    words: Words,
    prompts: Sequence[str],
    tokens: int,
    *,
    on_token: Callable[[int], None] = lambda _count: None,
) -> Talk:
    """Have a text go on behind each of some prompts, each of them behind all that was said before it.

    Args:
        conversation: new.
        words: its tokenizer.
        prompts: what is put into the model's mouth, one stretch after the other.
        tokens: of each answer.
        on_token: told after each token how many there are.

    Raises:
        IsthmusError: see `Conversation.answer`.
    """
    talk = Talk()
    for prompt in prompts:
        talk.ids += words.encode(prompt, special=not talk.ids)
        before, crossed = time.perf_counter(), conversation.bytes_up_down
        for index, token in enumerate(itertools.islice(conversation.answer(talk.ids), tokens)):
            now, sum_of = time.perf_counter(), conversation.bytes_up_down
            talk.add(token, now - before, (sum_of[0] - crossed[0], sum_of[1] - crossed[1]), is_first=index == 0)
            before, crossed = now, sum_of
            on_token(len(talk.drawn))
    talk.lost = "" if conversation.lost is None else str(conversation.lost)
    return talk
