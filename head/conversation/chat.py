"""A chat: messages in, text out, and what it cost."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from isthmus.devices.sampler import Drawn
from isthmus.errors import UsageError
from isthmus.head.conversation.conversation import Conversation
from isthmus.head.conversation.speech import Speech
from isthmus.head.conversation.words import Message, Words


@dataclass(slots=True, eq=False, kw_only=True)
class Answer:
    """One answer as it grows, and what it cost so far."""

    prompt_tokens: int = 0
    """Of the whole conversation up to the answer."""
    text: str = ""
    tokens: list[Drawn] = field(default_factory=list)
    placements: dict[str, int] = field(default_factory=dict)
    """Tokens by where they were drawn."""
    first_s: float = 0.0
    """From the question to the first token."""
    total_s: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    changes: int = 0
    """Streams that were lost."""
    finish: str = ""
    """Why it ended: `end` (the model's own), `stop` (a stop string), `length`."""
    lost: str = ""
    """Why the device went on alone."""

    @property
    def tokens_per_s(self) -> float | None:
        """After the first token; None where there is no second one."""
        later_s = self.total_s - self.first_s
        return (len(self.tokens) - 1) / later_s if len(self.tokens) > 1 and later_s > 0 else None


class Chat:
    """Questions and answers over one conversation.

    Args:
        conversation: how tokens are drawn.
        words: the bundle's tokenizer.
        system: what the model is told first.
        stops: strings before which an answer ends.
        max_tokens: longest answer.
    """

    def __init__(
        self, conversation: Conversation, words: Words, *, system: str = "", stops: Sequence[str] = (), max_tokens: int = 512
    ) -> None:
        self._conversation = conversation
        self._words = words
        self._stops = tuple(stops)
        self._max_tokens = max_tokens
        self._messages: list[Message] = [{"role": "system", "content": system}] if system else []
        self.answer = Answer()
        """The latest one."""

    def ask(self, question: str) -> Iterator[str]:
        """Ask; the text of the answer as it comes. `answer` has all of it.

        Raises:
            UsageError: there is no question.
            IsthmusError: see `Conversation.answer`.
        """
        if not question:
            raise UsageError("there is nothing to answer; give a prompt")
        messages = [*self._messages, {"role": "user", "content": question}]
        prompt = self._words.prompt(messages)
        answer = self.answer = Answer(prompt_tokens=len(prompt))
        for text in self._draw(prompt, answer):
            answer.text += text
            if text:
                yield text
        self._messages = [*messages, {"role": "assistant", "content": answer.text}]

    def _draw(self, prompt: list[int], answer: Answer) -> Iterator[str]:
        talk, speech = self._conversation, Speech(self._words.decode, self._stops)
        began_at, (up, down), changes = time.perf_counter(), talk.bytes_up_down, talk.changes
        answer.finish = "length"
        tokens = talk.answer(prompt)
        for token in tokens:
            answer.total_s = time.perf_counter() - began_at
            answer.first_s = answer.first_s or answer.total_s
            answer.tokens.append(token.drawn)
            answer.placements[token.placement] = answer.placements.get(token.placement, 0) + 1
            answer.bytes_up, answer.bytes_down = talk.bytes_up_down[0] - up, talk.bytes_up_down[1] - down
            answer.changes = talk.changes - changes
            answer.lost = "" if talk.lost is None else str(talk.lost)
            if token.drawn.id in talk.bundle.manifest.eos:
                answer.finish = "end"
                break
            yield speech.add(token.drawn.id)
            if speech.stopped is not None:
                answer.finish = "stop"
            if speech.stopped is not None or len(answer.tokens) >= self._max_tokens:
                break
        tokens.close()
        yield speech.finish()
