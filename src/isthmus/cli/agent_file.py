"""What `isthmus run` is told: in agent.toml, in the environment, by flags; the later of these three counts.

The names are those of the flags: `--frame-size`, `ISTHMUS_FRAME_SIZE`, `frame_size = "640x480"`.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from isthmus.cli.connection import credentials
from isthmus.cli.logs import Format
from isthmus.cli.quantity import bytes_per_s, seconds, size_in_bytes
from isthmus.devices.provider import Choice
from isthmus.errors import ConfigError, IsthmusError, UsageError
from isthmus.head.delivery import DeliverySettings
from isthmus.head.filter import AUDIT_SHARE
from isthmus.head.mailbox import DropPolicy
from isthmus.head.settings import AgentSettings, PlacementName
from isthmus.head.sources.form import Form, parse_size
from isthmus.head.spool import GivesWay
from isthmus.head.thrift import ThriftSettings
from isthmus.head.update.settings import UpdateSettings, parse_hours

PREFIX = "ISTHMUS_"
TABLES = ("update",)
"""Settings that may stand in a table of their own."""

EXAMPLES = {
    "deadline": "100ms",
    "fps": 15,
    "frame_size": "640x480",
    "drop_policy": "drop-oldest",
    "device_id": "porch",
    "cores": "2,3",
    "evidence": "32MB",
    "deliver": "/var/lib/isthmus/queue",
    "deliver_age": "24h",
    "trust": "/etc/isthmus/keys",
    "tls_ca": "/etc/isthmus/ca.pem",
    "tls_cert": "/etc/isthmus/device.pem",
    "tls_key": "/etc/isthmus/device-key.pem",
    "token_file": "/etc/isthmus/token",
    "update_source": "tail",
    "update_hours": "1-5",
    "log_format": "json",
}
"""What a new agent.toml shows for settings without a default."""


def given_flags(context: typer.Context, *, but: set[str]) -> dict[str, Any]:
    """The options and arguments that stood on the command line, by their names; without those that are no settings."""
    sources = {name: context.get_parameter_source(name) for name in context.params.keys() - but}
    return {name: context.params[name] for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _duration(value: object) -> object:
    return _read(lambda text: seconds(text, ""), value)


def _size(value: object) -> object:
    return _read(lambda text: size_in_bytes(text, ""), value)


def _frame_size(value: object) -> object:
    return _read(parse_size, value)


def _read(parse: Any, value: object) -> object:  # noqa: ANN401 - any of the parsers above
    """Parse text; numbers stay what they are. Errors become those that pydantic collects."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except IsthmusError as error:
        raise ValueError(str(error).strip()) from error


def _listed(value: object) -> object:
    """A list, or in the environment its parts with commas between them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _pace(value: object) -> object:
    return _read(lambda text: bytes_per_s(text, ""), value)


def _hours(value: object) -> object:
    return _read(parse_hours, value)


Duration = Annotated[float, BeforeValidator(_duration), Field(gt=0)]
Bytes = Annotated[int, BeforeValidator(_size), Field(gt=0)]
BytesPerS = Annotated[float, BeforeValidator(_pace), Field(gt=0)]
Hours = Annotated[tuple[int, int], NoDecode, BeforeValidator(_hours)]
Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


class AgentFile(BaseSettings):
    """Every setting of the agent, as text has it; the comments of a new agent.toml are these descriptions."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    bundle: Path | None = Field(None, description="A .isthmus file or a bundle folder.")
    source: str | None = Field(
        None,
        description="camera:0, /dev/video0, rtsp://..., http://... (MJPEG), cmd:PROGRAM ..., gst:PIPELINE, video, folder.",
    )
    tail: Texts = Field((), description="HOST:PORT of one or more equal servers.")
    sink: Texts = Field((), description="jsonl:PATH, mqtt://HOST/TOPIC, video:OUT.mp4 or images:FOLDER; one or more.")
    placement: PlacementName = Field(
        "split", description="Where frames are answered: split, offload, local, or auto: the best of them."
    )
    point: int = Field(0, ge=0, description="Operating point of the split.")
    picture: str = Field(
        "jpeg-75", description="What offload sends: jpeg or webp and a quality; for auto several, as jpeg-75,webp-15."
    )
    deadline: Duration | None = Field(None, description="An answer later than this is dropped, for example 100ms.")
    gate: bool = Field(True, description="Drop frames in which nothing moves.")
    filter: bool = Field(True, description="Drop frames in whose codes the bundle's neural filter, if it has one, sees nothing.")
    audit: float = Field(
        100 * AUDIT_SHARE, ge=0, le=100, description="Percent of these that is sent all the same, to see what the filter misses."
    )
    fps: Annotated[float, Field(gt=0)] | None = Field(None, description="Pace of a file, or what a camera is asked for.")
    frame_format: str = Field(
        "mjpeg", description="What cmd: writes: mjpeg, bgr24, rgb24, gray, yuv420, nv12 or yuyv422; raw formats need frame_size."
    )
    frame_size: Annotated[tuple[int, int], NoDecode, BeforeValidator(_frame_size)] | None = Field(
        None, description="WIDTHxHEIGHT of the raw frames of cmd:, or what a camera is asked for."
    )
    drop_policy: DropPolicy | None = Field(
        None, description="drop-oldest (default of live sources), drop-latest or wait (default of files)."
    )
    device_id: str = Field("", description="Name of this device; default the host's name.")
    standby: bool = Field(
        True, description="Let the device answer what the server does not answer in time, where the bundle has local.onnx."
    )
    wait: Duration = Field(10.0, description="How long to wait for the server at the start.")
    float_head: bool = Field(False, description="Run the float head even where there is one in int8.")
    threads: int = Field(1, ge=1, description="onnxruntime threads.")
    provider: Choice = Field("auto", description="Execution provider: auto, cpu, cuda or tensorrt.")
    cores: str | None = Field(
        None, description="Cores to keep to, as 2,3 or 4-7; default the fast ones where there are two kinds."
    )
    evidence: Bytes | None = Field(None, description="Keep pictures of the newest frames, as 32MB, for operators who fetch one.")
    deliver: Path | None = Field(
        None,
        description="Deliver every frame that is taken: its picture waits in this folder until the server has answered it.",
    )
    deliver_size: Bytes = Field(256_000_000, description="Room for those pictures.")
    deliver_age: Duration | None = Field(None, description="Older pictures are not delivered any more.")
    deliver_drop: GivesWay = Field("oldest", description="When the room is used up, which pictures give way: oldest or newest.")
    hot: float = Field(ThriftSettings().hot_c, description="Take fewer frames from so many degrees Celsius on.")
    battery_low: float = Field(
        100 * ThriftSettings().battery_low_share, description="Take fewer frames below so many percent of charge."
    )
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="Port of the status page and of /metrics; 0 takes a free one."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the status page; 0.0.0.0 shows it to the network.")
    tls_ca: Path | None = Field(None, description="Authority of the server's certificate, PEM; asks for TLS.")
    tls_cert: Path | None = Field(None, description="Certificate of this device, where the server asks for one; PEM.")
    tls_key: Path | None = Field(None, description="Its private key; PEM, not encrypted.")
    token_file: Path | None = Field(None, description="File with the token that the server asks for.")
    insecure: bool = Field(False, description="Send the token without TLS beyond loopback too.")
    trust: Path | None = Field(None, description="Public key, or folder of them; one of these must have signed the bundle.")
    update_source: str = Field(
        "",
        description="Where new bundles come from: tail (the servers above), HOST:PORT, https://..., a path; empty: nowhere.",
    )
    update_folder: Path = Field(Path("updates"), description="Where bundles of updates are kept; has to be writable.")
    update_every: Duration = Field(3600.0, description="How often the source is looked at.")
    update_hours: Hours | None = Field(None, description="Local hours in which bundles are looked for and gone over to, as 1-5.")
    update_rate: BytesPerS = Field(1e6, description="Pace of a transfer, so that frames are not disturbed.")
    update_downgrade: bool = Field(False, description="Take an older bundle too, where the source has one.")
    update_answers: int = Field(10, ge=1, description="Good answers by which a new bundle proves itself.")
    update_patience: Duration = Field(60.0, description="A new bundle that gives no good answer for so long is given up.")
    log_format: Format | None = Field(None, description="Of the log on standard error; text on a terminal, else json.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file; nothing else is read."""
        return init_settings, env_settings, _Toml(settings_cls)

    def _delivery(self) -> DeliverySettings | None:
        if self.deliver is None:
            return None
        return DeliverySettings(
            folder=self.deliver, bytes_max=self.deliver_size, age_max_s=self.deliver_age, gives_way=self.deliver_drop
        )

    def for_agent(self) -> AgentSettings:
        """The same for the agent.

        Raises:
            UsageError: no source is named.
            ConfigError: a value is out of range.
        """
        if self.source is None:
            raise UsageError("no source is named: give --source, or `source` in the file of --config")
        named: dict[str, Any] = {"device_id": self.device_id} if self.device_id else {}
        return AgentSettings(
            **named,
            source=self.source,
            tails=self.tail,
            sinks=self.sink,
            placement=self.placement,
            point=self.point,
            picture=self.picture,
            deadline_s=self.deadline,
            gate=self.gate,
            filtering=self.filter,
            audit_share=self.audit / 100,
            fps=self.fps,
            form=Form(pixels=self.frame_format, size=self.frame_size),
            drop_policy=self.drop_policy,
            standby=self.standby,
            connect_wait_s=self.wait,
            int8=not self.float_head,
            threads=self.threads,
            provider=self.provider,
            evidence_bytes=self.evidence,
            delivery=self._delivery(),
            credentials=credentials(self.tls_ca, self.tls_cert, self.tls_key, self.token_file, insecure=self.insecure),
            thrift=ThriftSettings(hot_c=self.hot, battery_low_share=self.battery_low / 100),
        )

    def for_updates(self) -> UpdateSettings:
        """What it says of updates."""
        return UpdateSettings(
            source=self.update_source,
            folder=self.update_folder,
            every_s=self.update_every,
            hours=self.update_hours,
            bytes_per_s=self.update_rate,
            downgrade=self.update_downgrade,
            answers=self.update_answers,
            patience_s=self.update_patience,
            trust=self.trust,
        )


class _Toml(TomlConfigSettingsSource):
    """The file, in which settings with a common first word may also stand in a table: `[update]` and `every = "6h"`."""

    def __call__(self) -> dict[str, Any]:
        told = dict(super().__call__())
        for table in TABLES:
            if isinstance(told.get(table), dict):
                told |= {f"{table}_{name}": value for name, value in told.pop(table).items()}
        return told


def read_agent_file(path: Path | None, flags: Mapping[str, Any]) -> AgentFile:
    """Read all three places.

    Args:
        path: agent.toml; None: there is none.
        flags: those that were given, by the names of the fields.

    Raises:
        UsageError: a flag has a value that cannot be used.
        ConfigError: the same in the environment or the file; the file is missing, is no TOML, or has an unknown name.
    """
    if path is not None:
        _check_toml(path)

    class Placed(AgentFile):
        """Where the class looks for the file is part of it."""

        model_config = SettingsConfigDict(toml_file=path)

    try:
        return Placed(**flags)
    except ValidationError as error:
        raise _one_line(error, path, flags) from error


def _check_toml(path: Path) -> None:
    try:
        with path.open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {error.strerror}; `isthmus device init` writes one") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path} is no TOML: {error}") from error


def _one_line(error: ValidationError, path: Path | None, flags: Mapping[str, Any]) -> IsthmusError:
    first = error.errors()[0]
    name = str(first["loc"][0])
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return ConfigError(f"{path}: {name!r} is no setting; `isthmus device init` writes a file with all of them")
    if name in flags:
        return UsageError(f"--{name.replace('_', '-')} {flags[name]}: {what}")
    variable = f"{PREFIX}{name.upper()}"
    if variable in os.environ:
        return ConfigError(f"the variable {variable} is {os.environ[variable]!r}: {what}")
    return ConfigError(f"{path}: {name} = {first['input']!r}: {what}")
