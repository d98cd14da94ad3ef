"""`isthmus device init`: the files that turn the agent into a service."""

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import guard
from isthmus.errors import ConfigError

CONFIG, UNIT = "agent.toml", "isthmus-agent.service"

_UNIT = """\
# Isthmus device agent. Written by `isthmus device init`.
#   sudo cp {unit} /etc/systemd/system/ && sudo systemctl daemon-reload && sudo systemctl enable --now {name}
[Unit]
Description=Isthmus device agent
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target time-sync.target
# A camera or a server may be away for long: never give up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
SupplementaryGroups=video
ExecStart={python} -m isthmus run --config {config}
# Secrets, as ISTHMUS_MQTT_PASSWORD=...; the file may be missing.
EnvironmentFile=-/etc/default/isthmus-agent
# Where sinks with relative paths and unpacked bundles go; nothing else may be written.
StateDirectory=isthmus
Environment=ISTHMUS_CACHE=%S/isthmus/cache
WorkingDirectory=%S/isthmus
Restart=always
RestartSec=5
# A wrong option, setting or bundle does not mend itself.
RestartPreventExitStatus=2 3 4
SuccessExitStatus=143
WatchdogSec=30
TimeoutStartSec=120
TimeoutStopSec=30
MemoryMax=512M
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
"""


@guard.guarded
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the two files go.")] = Path(),
    bundle: Annotated[Path | None, typer.Option(help="Bundle to run.")] = None,
    source: Annotated[str, typer.Option(help="Where frames come from.")] = "camera:0",
    tail: Annotated[list[str] | None, typer.Option(help="HOST:PORT of the edge server; repeatable.")] = None,
    user: Annotated[str, typer.Option(help="Account that the service runs under; default yours.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write agent.toml, with a comment on every setting, and a systemd unit with notification and watchdog."""
    config, unit = folder / CONFIG, folder / UNIT
    for path in (config, unit):
        if path.exists() and not force:
            raise ConfigError(f"{path} exists; --force replaces it")
    given: dict[str, Any] = {
        "bundle": str((bundle or folder / "model.isthmus").resolve()),
        "source": source,
        "tail": tail or ["192.0.2.7:8001"],
        "sink": ["jsonl:+answers.jsonl"],
        "metrics_port": 8003,
        "update_folder": "/var/lib/isthmus/updates",
    }
    account = user or getpass.getuser()
    text = _UNIT.format(
        unit=UNIT, name=UNIT.removesuffix(".service"), user=account, python=sys.executable, config=config.resolve()
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(_toml(given), encoding="utf-8")
        unit.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    guard.out.print(
        f"wrote {config} and {unit}; edit the first, then:\n"
        f"  isthmus device doctor --config {config}\n  isthmus run --config {config} --check\n"
        f"  sudo cp {unit} /etc/systemd/system/ && sudo systemctl daemon-reload && sudo systemctl enable --now {UNIT}",
        highlight=False,
        soft_wrap=True,
    )


def _toml(given: dict[str, Any]) -> str:
    """Every setting with its meaning; those that are not given are commented out, with their default or an example."""
    from isthmus.cli.agent_file import EXAMPLES, AgentFile

    lines = [
        "# Isthmus device agent: `isthmus run --config agent.toml`. Environment (ISTHMUS_SOURCE=...) and flags count over it.",
        "",
    ]
    for name, field in AgentFile.model_fields.items():
        lines.append(f"# {field.description}")
        if name in given:
            lines.append(f"{name} = {_value(given[name])}")
        else:
            default = field.default if field.default not in (None, "", ()) else EXAMPLES[name]
            lines.append(f"# {name} = {_value(default)}")
        lines.append("")
    return "\n".join(lines)


def _value(value: object) -> str:
    """A TOML value; JSON's strings, lists, numbers and booleans are TOML's."""
    return json.dumps(value, ensure_ascii=False)
