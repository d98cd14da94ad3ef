"""Device and server of a plan: whose costs are measured, and whose are carried over from another machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from isthmus.contract.bundle import Bundle
from isthmus.devices.cost import table as tables
from isthmus.devices.cost.prediction import predict
from isthmus.devices.cost.table import CostTable
from isthmus.devices.profiles import catalog
from isthmus.devices.profiles.profile import Profile
from isthmus.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Costs of both.

    Attributes:
        device: of the device.
        profile: of the device; None where it has none.
        server: of the server.
        is_same: whether the server is the very machine whose costs the device has.
    """

    device: CostTable
    profile: Profile | None
    server: CostTable
    is_same: bool

    @property
    def remarks(self) -> list[str]:
        """What a reader has to know of the costs, in words."""
        said = [*_remarks("device", self.device), *_remarks("server", self.server)]
        if self.is_same:
            said.append(f"The server is taken to be as fast as the device ({_named(self.device)}); --server says otherwise.")
        return said


def choose(bundle: Bundle, device: str | None, costs: Path | None, server: str | None, *, now: Callable[[], str]) -> Sides:
    """Find the costs of both sides.

    Args:
        bundle: whose costs.
        device: name or file of a profile; None: the device whose costs were measured.
        costs: a cost table; None: those beside the bundle.
        server: a cost table (`.json`), or name or file of a profile; None: the machine whose costs were measured.
        now: date and time, for tables that are predicted here.

    Raises:
        ConfigError: there is no table or profile, it is of another bundle, or cannot be carried over.
    """
    base = _read(bundle, _place(bundle, device) if costs is None else costs)
    profile = _profile(base, device)
    found = _carried(base, profile, now) if device is not None else base
    if server is not None and server.endswith(".json"):
        other = _read(bundle, Path(server))
    elif server is not None:
        wanted = catalog.load(server)
        measured = _measured(bundle, base)
        other = _carried(measured, wanted, now)
    else:
        other = _measured(bundle, base)
    return Sides(device=found, profile=profile, server=other, is_same=server is None and other is found)


def _place(bundle: Bundle, device: str | None) -> Path:
    """The device's own table where it lies beside the bundle, else the one that was measured last."""
    if device is not None:
        own = tables.path_beside(bundle.origin, Path(device).stem)
        if own.exists():
            return own
    return tables.path_beside(bundle.origin)


def _read(bundle: Bundle, path: Path) -> CostTable:
    found = tables.read(path)
    if found.contract_digest != bundle.digest:
        raise ConfigError(
            f"{path} has the costs of contract {found.contract_digest[:12]}, {bundle.origin} is {bundle.digest[:12]}; "
            "measure again with `isthmus bench BUNDLE --profile`"
        )
    return found


def _profile(table: CostTable, device: str | None) -> Profile | None:
    if device is not None:
        return catalog.load(device)
    return catalog.load(table.device.profile) if table.device.profile in catalog.names() else None


def _carried(table: CostTable, profile: Profile | None, now: Callable[[], str]) -> CostTable:
    """The table, or what it predicts for another device."""
    if profile is None or table.device.profile == profile.name:
        return table
    return predict(table, profile, created=now())


def _measured(bundle: Bundle, table: CostTable) -> CostTable:
    """The table that a predicted one came from, where it still lies beside the bundle."""
    path = tables.path_beside(bundle.origin)
    return _read(bundle, path) if table.kind == "predicted" and path.exists() else table


def _named(table: CostTable) -> str:
    return table.device.cpu_model or table.device.profile


def _remarks(side: str, table: CostTable) -> list[str]:
    if table.prediction is not None:
        return [
            f"No {side} of this kind was measured: its times are predicted from {table.prediction.from_cpu} "
            f"({table.prediction.method}). Error: {table.prediction.error}."
        ]
    if not table.steady:
        return [f"The {side}'s costs were measured on an unsteady machine: {'; '.join(table.unsteady_because)}."]
    return []
