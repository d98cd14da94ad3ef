"""Who is let in: the rules of one server."""

from isthmus.tail.security.identity import Identity, anonymous
from isthmus.tail.security.scopes import Scope


class Access:
    """Without tokens and certificates everybody who reaches the port may do everything."""

    def admit(self, scope: Scope | None, *, host: str) -> Identity:
        """The caller.

        Args:
            scope: what the call needs; None is open to everybody.
            host: the address it comes from.

        Raises:
            Unauthenticated: nothing proves who calls.
            PermissionDenied: the caller lacks the scope.
        """
        del scope
        return anonymous(host)
