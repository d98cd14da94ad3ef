"""What a device knows of its bundles: which runs, which ran before, which is ready, which it will not take again.

          stage            begin                    confirm
    runs A ----> A, B ready ----> runs B on trial ----> runs B, A kept
                                        |
                                        | roll back, by itself or by hand
                                        v
                                  runs A, B rejected

Every arrow is one new file in place of the old one, so that after a power cut the device is on one side of it or on the other.
A bundle is named by the SHA-256 of its archive; `FACTORY` is the bundle that the agent was set up with, which is never removed.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

FACTORY = "factory"
REMEMBERED_MAX = 64
"""Of rejected bundles and of tags; the oldest ones are forgotten first."""

_NAMED = r"^([0-9a-f]{64}|factory)?$"


class UpdateState(BaseModel):
    """The whole of `state.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    factory: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """SHA-256 of the manifest of the bundle that the agent was set up with when this began."""
    current: str = Field(default=FACTORY, pattern=_NAMED, min_length=1)
    previous: str = Field(default="", pattern=_NAMED)
    """What to go back to; empty where there is nothing."""
    next: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Checked and rehearsed, and not gone over to yet."""
    at_once: bool = False
    """Go over to `next` whatever the hour: somebody asked for it by hand."""
    trial_starts: int = Field(default=0, ge=0)
    """How often the agent began with `current` since it is on trial; 0 once it has proved itself."""
    rejected: dict[str, str] = {}
    """Archives that are not taken again, and why."""
    tags: dict[str, str] = {}
    """What a web server called an archive (its ETag), and the archive's digest."""

    @property
    def on_trial(self) -> bool:
        """Whether `current` has not proved itself yet."""
        return self.trial_starts > 0

    @property
    def kept(self) -> frozenset[str]:
        """Archives that are needed."""
        return frozenset({self.current, self.previous, self.next} - {"", FACTORY})

    def stage(self, digest: str, tag: str = "", *, at_once: bool = False) -> Self:
        """A bundle is ready; one that was ready before gives way. Whatever was said against it is taken back."""
        others = {known: why for known, why in self.rejected.items() if known != digest}
        return self._with(next=digest, at_once=at_once, rejected=others)._tagged(tag, digest)

    def begin(self) -> Self:
        """Go over to the bundle that is ready, on trial."""
        if not self.next:
            return self
        return self._with(current=self.next, previous=self.current, next="", at_once=False, trial_starts=1)

    def start_again(self) -> Self:
        """The agent begins once more with a bundle on trial."""
        return self._with(trial_starts=self.trial_starts + 1)

    def excuse(self) -> Self:
        """The start at hand does not count: the agent was ended, or met no server."""
        return self._with(trial_starts=max(1, self.trial_starts - 1)) if self.on_trial else self

    def confirm(self) -> Self:
        """The bundle on trial has proved itself."""
        return self._with(trial_starts=0)

    def roll_back(self, reason: str) -> Self:
        """Go back to what ran before, or to what the agent was set up with, and do not take this one again."""
        if self.current == FACTORY:
            return self
        refused = self.reject(self.current, reason)
        return refused._with(current=self.previous or FACTORY, previous="", trial_starts=0)

    def reject(self, digest: str, reason: str, tag: str = "") -> Self:
        """Do not take an archive again."""
        known = {**{other: why for other, why in self.rejected.items() if other != digest}, digest: reason}
        ready = "" if self.next == digest else self.next
        return self._with(rejected=_newest(known), next=ready)._tagged(tag, digest)

    def seen(self, tag: str, digest: str) -> Self:
        """An archive has this tag."""
        return self._tagged(tag, digest)

    def set_up_anew(self, factory: str) -> Self:
        """The operator has put another bundle in place of the one that the agent was set up with: that one runs now."""
        return self._with(factory=factory, current=FACTORY, previous="", next="", trial_starts=0)

    def _tagged(self, tag: str, digest: str) -> Self:
        if not tag:
            return self
        others = {other: known for other, known in self.tags.items() if other != tag}
        return self._with(tags=_newest({**others, tag: digest}))

    def _with(self, **changed: object) -> Self:
        return self.model_copy(update=changed)


def _newest(known: dict[str, str]) -> dict[str, str]:
    return dict(list(known.items())[-REMEMBERED_MAX:])
