"""Answers, one after the other: the agent as something to iterate over.

with Answers("b.isthmus", source="camera:0", tails=["192.0.2.7:8001"]) as answers:
for record in answers:
print(record.sequence, record.words)
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from isthmus.contract.bundle import Bundle, open_bundle
from isthmus.head.ledger import Summary
from isthmus.head.mailbox import Mailbox
from isthmus.head.opening import open_agent
from isthmus.head.record import Record
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Callback

WAITING_MAX = 4
"""Records that wait for the reader: they hold pictures, and a reader that is slower than the source shall see new ones."""


class Answers:
    """An agent that runs while its records are read.

    A reader that is slow holds the agent up, and with a live source it is frames that give way then, not answers. The agent
    stops when the `with` ends.

    Args:
        bundle: a path, or a bundle that is open.
        settings: fields of `AgentSettings`; `source`, and `tails` unless the placement is `local`, are needed.

    Raises:
        IsthmusError: whatever `open_bundle` and `open_agent` raise, on entering.
    """

    def __init__(self, bundle: Bundle | str | Path, **settings: Any) -> None:  # noqa: ANN401 - the fields of AgentSettings
        self._bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self._settings = AgentSettings(**{**settings, "tails": tuple(settings.get("tails", ()))})
        self._records: Mailbox[Record] = Mailbox(capacity=WAITING_MAX, policy="wait")
        self._stack = ExitStack()
        self._broken: Exception | None = None
        self.summary = Summary()
        """What the run has come to so far."""

    def __enter__(self) -> Self:
        sink = Callback(self._take)
        with ExitStack() as stack:
            agent = stack.enter_context(open_agent(self._bundle, self._settings, [sink]))
            self.summary = agent.summary
            thread = threading.Thread(target=self._run, args=(agent.run,), name="isthmus-agent")
            stack.callback(thread.join)
            # Nobody reads any more: the agent must not wait for room.
            stack.callback(self._records.close)
            stack.callback(agent.stop)
            thread.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _take(self, record: Record) -> None:
        self._records.put(record)

    def _run(self, run: Callable[[], Summary]) -> None:
        try:
            run()
        except Exception as error:
            self._broken = error
        finally:
            self._records.close()

    def __iter__(self) -> Iterator[Record]:
        """Give records as they come, until the source ends.

        Raises:
            IsthmusError: the source broke, or the server holds another bundle.
        """
        yield from self._records
        if self._broken is not None:
            raise self._broken
