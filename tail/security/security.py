"""Everything that stands between the ports of a server and its handlers."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Self

import grpc

from isthmus.errors import AccessError
from isthmus.tail.security.access import Access
from isthmus.tail.security.certificates import Certificates
from isthmus.tail.security.complaints import Complaints
from isthmus.tail.security.doorkeeper import Doorkeeper
from isthmus.tail.security.porter import Application, Porter
from isthmus.tail.security.settings import SecuritySettings


class Security:
    """Certificates, rules, and who applies them at each port.

    Args:
        certificates: None without TLS.
        access: the rules.
        refused: gets every refusal, for those who count.
    """

    def __init__(self, certificates: Certificates | None, access: Access, refused: Callable[[AccessError], None]) -> None:
        self.certificates = certificates
        self._access = access
        self._complaints = Complaints(refused)
        self.doorkeeper = Doorkeeper(access, self._complaints)
        """Interceptor of the gRPC port."""
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, settings: SecuritySettings, refused: Callable[[AccessError], None] = lambda _error: None) -> Self:
        """What settings ask for; `refused` gets every refusal.

        Raises:
            ConfigError: a certificate or the token file cannot be used.
        """
        certificates = Certificates.of(settings)
        return cls(certificates, Access.of(settings, certificates), refused)

    def add_port(self, server: Any, address: str) -> int:  # noqa: ANN401
        """Let a gRPC server listen on `host:port`, over TLS where there are certificates; gives the port.

        Raises:
            RuntimeError: gRPC's, if it cannot.
        """
        if self.certificates is None:
            return int(server.add_insecure_port(address))
        credentials: grpc.ServerCredentials = self.certificates.for_grpc()
        return int(server.add_secure_port(address, credentials))

    def before(self, pages: Application) -> Porter:
        """The pages behind the porter."""
        return Porter(pages, self._access, self._complaints)

    def start(self) -> None:
        """Begin to end the streams of those whose token or certificate counts no more."""
        self._sweeping = asyncio.create_task(self.doorkeeper.keep_sweeping())

    async def close(self) -> None:
        """Stop that."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
