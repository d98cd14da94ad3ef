"""`serve.toml` beside the versions of a bundle: how this one is run, over what the command line says for all."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isthmus.contract import small_file
from isthmus.devices import provider as providers
from isthmus.errors import ConfigError
from isthmus.tail.settings import Pictures, ServerSettings

FILE_NAME = "serve.toml"
_BYTES_MAX = 64 << 10

_Count = Annotated[int, Field(ge=1)]


class ServeFile(BaseModel):
    """What it may say; None is what the command line says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    versions: _Count | Literal["all"] = 1
    """How many of the newest versions are served at a time."""
    instances: _Count | None = None
    threads: _Count | None = None
    provider: providers.Choice | None = None
    queue_max: _Count | None = None
    batch_max: _Count | None = None
    pictures: Pictures | None = None

    def over(self, settings: ServerSettings) -> ServerSettings:
        """The settings of a server as they are for this bundle."""
        said: dict[str, Any] = self.model_dump(exclude_none=True, exclude={"versions"})
        return dataclasses.replace(settings, **said)


def read(folder: Path) -> ServeFile:
    """Read the settings in the folder of a bundle's name; all defaults where there are none.

    Raises:
        ConfigError: not TOML, an unknown key, a value out of range, or a link.
    """
    path = folder / FILE_NAME
    try:
        data = small_file.read(path, size_max=_BYTES_MAX, error=ConfigError, follow_links=False)
        return ServeFile.model_validate(tomllib.loads(data.decode()))
    except FileNotFoundError:
        return ServeFile()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"] if isinstance(step, int | str))
        known = ", ".join(ServeFile.model_fields)
        raise ConfigError(f"{path}: {place[:80]!r}: {first['msg'][:200]}; the keys are {known}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
