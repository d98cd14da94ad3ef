"""The conversations of the demo: servers and links as processes, each conversation with a new link, and what was right of it."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus.bench import programs
from isthmus.bench.language.placement import LOCAL, OVER_LINKS, SANDWICH, SPLIT, Placement
from isthmus.bench.language.settings import DemoSettings
from isthmus.bench.language.talk import Talk, hold
from isthmus.bench.language.yardstick import Yardstick
from isthmus.bench.progress import Progress
from isthmus.contract.bundle import LanguageBundle
from isthmus.devices import link as links
from isthmus.head.conversation.conversation import Conversation
from isthmus.head.conversation.settings import TOKENS, TalkSettings
from isthmus.head.conversation.words import Words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spoken:
    """One conversation.

    Attributes:
        placement: of it.
        link: its name; None without one.
        talk: what was said.
        passed_bytes: TCP payload both ways, greeting included.
        as_unsplit: tokens that the whole model draws too, behind the same text.
        as_in_one_place: tokens that the same networks draw where nothing is sent.
    """

    placement: Placement
    link: str | None
    talk: Talk
    passed_bytes: int
    as_unsplit: int
    as_in_one_place: int


class Stage:
    """Where conversations are had, one after the other.

    Args:
        bundles: cut in two, and as a sandwich.
        settings: how much is said.
        on_progress: told what is done.
    """

    def __init__(
        self,
        bundles: tuple[LanguageBundle, LanguageBundle],
        settings: DemoSettings,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._cut, self._sandwich = bundles
        self._settings = settings
        self._on_progress = on_progress
        self._yardsticks = {bundle.origin: Yardstick(bundle, settings.sampling) for bundle in bundles}
        self.words = Words(self._cut)

    def alone(self) -> Spoken:
        """The whole model on the device."""
        self._on_progress(Progress(part="talking on this device alone"))
        return self._had(Placement(name=LOCAL), None, self._talk(Placement(name=LOCAL), None), 0)

    def over_links(self) -> list[Spoken]:
        """Every placement over every link, each with a new link."""
        found: list[Spoken] = []
        count = len(self._settings.links) * len(OVER_LINKS)
        with programs.server(self._cut.origin) as cut, programs.server(self._sandwich.origin) as sandwich:
            for link in self._settings.links:
                for placement in OVER_LINKS:
                    part = "talking over links: split, sandwich and token ids"
                    self._on_progress(Progress(part=part, share=len(found) / count))
                    server = sandwich if placement.name == SANDWICH else cut
                    found.append(self._over(placement, link, server.match["grpc"]))
        return found

    def losing_its_server(self) -> Spoken:
        """Its server is killed in mid-answer, and the device goes on alone."""
        self._on_progress(Progress(part="killing the server in mid-answer"))
        placement = Placement(name=SPLIT, setting="int8", loses=True)
        with programs.server(self._cut.origin) as server:

            def kill(count: int) -> None:
                if count == self._settings.killed_behind:
                    os.kill(server.pid, signal.SIGKILL)

            return self._over(placement, self._settings.links[0], server.match["grpc"], kill)

    def _over(
        self, placement: Placement, link: str, address: str, on_token: Callable[[int], None] = lambda _count: None
    ) -> Spoken:
        with programs.shaper(address, links.parse(link)) as shaper:
            talk = self._talk(placement, shaper.match["address"], on_token)
        return self._had(placement, link, talk, programs.passed_bytes(shaper))

    def _talk(self, placement: Placement, address: str | None, on_token: Callable[[int], None] = lambda _count: None) -> Talk:
        settings = TalkSettings(layout=placement.layout, mode=placement.mode, local=address is None, device_id="demo")
        addresses: Sequence[str] = () if address is None else (address,)
        conversation = Conversation(self._bundle_of(placement), addresses, sampling=self._settings.sampling, settings=settings)
        try:
            return hold(conversation, self.words, self._settings.prompts, self._settings.tokens, on_token=on_token)
        finally:
            conversation.close()

    def _bundle_of(self, placement: Placement) -> LanguageBundle:
        return self._sandwich if placement.name == SANDWICH else self._cut

    def _had(self, placement: Placement, link: str | None, talk: Talk, passed_bytes: int) -> Spoken:
        yardstick = self._yardsticks[self._bundle_of(placement).origin]
        return Spoken(
            placement=placement,
            link=link,
            talk=talk,
            passed_bytes=passed_bytes,
            as_unsplit=yardstick.as_unsplit(talk),
            as_in_one_place=yardstick.as_in_one_place(talk, placement.mode, splits=placement.layout != TOKENS),
        )
