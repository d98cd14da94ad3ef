"""What a server serves, by name, version and contract. Only the event loop touches it."""

from collections.abc import Iterator

from isthmus.errors import BundleNotServed, ContractMismatch
from isthmus.tail.served import AnyServed

TEXT_MAX = 128
"""Of a name in a message; one that is served is no longer."""


class Catalog:
    """Bundles by name, and of one name by version, the newest last."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str], AnyServed] = {}

    def __iter__(self) -> Iterator[AnyServed]:
        return iter(tuple(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)

    def add(self, served: AnyServed) -> None:
        """Offer a bundle to new streams and requests, in place of another one of the same name and version."""
        self._served[served.name, served.version] = served
        self._served = dict(sorted(self._served.items(), key=lambda item: (item[0][0], version_number(item[0][1]))))

    def remove(self, served: AnyServed) -> None:
        """Offer it no longer; who has it keeps it."""
        if self._served.get((served.name, served.version)) is served:
            del self._served[served.name, served.version]

    def find(self, name: str = "", version: str = "") -> AnyServed:
        """A bundle by name.

        Args:
            name: empty is the only one there is.
            version: empty is the newest one.

        Raises:
            BundleNotServed: there is none of that name and version, or several and none is named.
        """
        found = [served for served in self if name in ("", served.name) and version in ("", served.version)]
        if not found:
            asked = f"{name[:TEXT_MAX]!r}" + (f" version {version[:TEXT_MAX]!r}" if version else "")
            raise BundleNotServed(f"bundle {asked} is not served here; this server has {self._listed()}")
        if not name and len({served.name for served in found}) > 1:
            raise BundleNotServed(f"several bundles are served here, name one: {self._listed()}")
        return found[-1]

    def find_contract(self, digest: str, name: str = "") -> AnyServed:
        """The bundle that a device holds; `digest` in hexadecimal.

        Raises:
            ContractMismatch: none here has that contract, or not under that name.
        """
        for served in reversed(tuple(self._served.values())):
            if served.bundle.digest == digest and name in ("", served.name, served.bundle.manifest.id):
                return served
        if name and all(name not in (served.name, served.bundle.manifest.id) for served in self):
            raise ContractMismatch(f"the device asks for bundle {name!r}, this server serves {self._listed()}")
        held = ", ".join(f"{served.bundle.digest[:12]} ({served})" for served in self) or "nothing"
        raise ContractMismatch(
            f"the device holds contract {digest[:12] or '(none)'}, this server serves {held}; give both the same bundle"
        )

    def _listed(self) -> str:
        return ", ".join(sorted({repr(served.name) for served in self})) or "none"


def version_number(version: str) -> int:
    """How new a version is. Those of a repository are integers; a single bundle may call its version anything."""
    return int(version) if version.isdecimal() else 0
