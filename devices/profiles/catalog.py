"""The profiles that come with Isthmus, those of users, and which of them is the machine at hand."""

import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from isthmus.devices.profiles.profile import Profile
from isthmus.errors import ConfigError


def names() -> tuple[str, ...]:
    """Of the profiles that come with Isthmus."""
    return tuple(sorted(_shipped()))


def load(name: str) -> Profile:
    """One profile, by the name of one that comes with Isthmus or by the path of a TOML file.

    Raises:
        ConfigError: there is none of that name, or the file cannot be read or is no profile.
    """
    if found := _shipped().get(name):
        return found
    path = Path(name)
    if path.suffix != ".toml":
        raise ConfigError(
            f"there is no profile {name!r}; there are {', '.join(names())}, and files of your own that end with .toml"
        )
    try:
        return parse(path.read_text(encoding="utf-8"), origin=name)
    except OSError as error:
        raise ConfigError(f"cannot read profile {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"profile {name} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def parse(text: str, *, origin: str) -> Profile:
    """Read a profile.

    Args:
        text: TOML.
        origin: for messages.

    Raises:
        ConfigError: it is not TOML, or a field is missing, unknown or wrong.
    """
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"profile {origin} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"profile {origin}: {place[:80]!r}: {first['msg'][:200]}; docs/devices.md lists the fields") from error


def choose(architecture: str, board: str | None) -> Profile | None:
    """The profile of a machine, see `devices.detect`: by its board's name, else the one of its architecture, else None."""
    general = None
    for name in names():
        profile = load(name)
        if profile.match.architecture != architecture:
            continue
        if not profile.match.board:
            general = profile
        elif board and re.search(profile.match.board, board):
            return profile
    return general


@cache
def _shipped() -> dict[str, Profile]:
    found = {}
    for entry in resources.files("isthmus.devices.profiles").iterdir():
        if entry.name.endswith(".toml"):
            profile = parse(entry.read_text(encoding="utf-8"), origin=entry.name)
            found[profile.name] = profile
    return found
