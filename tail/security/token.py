"""Bearer tokens: `isthmus_ID_SECRET`, of which a server keeps the SHA-256 only.

The secret is 256 random bits. Slow hashes (scrypt, Argon2) make guesses of what people think up expensive; nobody guesses 256
random bits, so one SHA-256 is enough, and a flood of wrong tokens costs the server a microsecond each. The id is public: it finds
the entry without a search whose time could tell something, and it is what logs name.
"""

import datetime
import hashlib
import hmac
import re
import secrets
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from isthmus.errors import PermissionDenied, Unauthenticated
from isthmus.tail.security.identity import Identity
from isthmus.tail.security.scopes import Scope

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ID_PATTERN = r"^[0-9a-f]{12}$"
_TEXT = re.compile(r"isthmus_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_ID_BYTES, _SECRET_BYTES = 6, 32


class Grant(BaseModel):
    """What a server keeps of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=ID_PATTERN)]
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Who has it; tokens of one name are one caller, so that a new token can follow an old one."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    """Of the whole token, in hexadecimal."""
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None

    @classmethod
    def make(
        cls, name: str, scopes: tuple[Scope, ...], *, created: datetime.datetime, expires: datetime.datetime | None
    ) -> tuple[Self, str]:
        """A new grant, and the token itself, which is kept nowhere.

        Raises:
            ValueError: pydantic's, for a name that is not plain or no scope.
        """
        token_id = secrets.token_hex(_ID_BYTES)
        text = f"isthmus_{token_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        return cls(id=token_id, name=name, scopes=scopes, sha256=digest(text), created=created, expires=expires), text

    @property
    def identity(self) -> Identity:
        """Who calls with it."""
        return Identity(name=self.name, kind="token", scopes=frozenset(self.scopes))

    def __str__(self) -> str:
        return f"token {self.id} ({self.name})"

    def belongs_to(self, text: str) -> bool:
        """Whether `text` is the token; takes the same time for every text."""
        return hmac.compare_digest(digest(text), self.sha256)

    def state(self, now: datetime.datetime) -> str:
        """`good`, or since when it is not: `revoked on ...`, `expired on ...`."""
        if self.revoked is not None:
            return f"revoked on {_day(self.revoked)}"
        if self.expires is not None and self.expires <= now:
            return f"expired on {_day(self.expires)}"
        return "good"

    def check(self, scope: Scope | None, now: datetime.datetime) -> None:
        """Check that it counts now, and for a scope.

        Raises:
            Unauthenticated: revoked or expired.
            PermissionDenied: it lacks the scope.
        """
        state = self.state(now)
        if state != "good":
            raise Unauthenticated(f"{self} {state}; ask for a new one, made with isthmus tokens new")
        if scope is not None and scope not in self.scopes:
            raise PermissionDenied(f"{self} has the scopes {', '.join(self.scopes)}, and this call needs {scope}")


def digest(text: str) -> str:
    """SHA-256 of a token in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def id_of(text: str) -> str | None:
    """The id inside of a token, None if it is no token of ours."""
    found = _TEXT.fullmatch(text)
    return found[1] if found else None


def _day(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
