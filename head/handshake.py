"""Why a connection failed: gRPC says "socket closed" of most that can be wrong with TLS, so it is looked at once more.

The second look shakes hands as the first did, with the TLS of the operating system, which tells what it met. It sends no token
and no call.
"""

import contextlib
import datetime
import socket
import ssl

from isthmus.errors import AccessError, Unauthenticated
from isthmus.head.credentials import Credentials

LOOK_TIMEOUT_S = 3.0
"""It follows a connection that was answered; a round trip or two."""

_SIGNS = ("Tls handshake failed", "Hostname Verification", "Socket closed", "security handshaker", "Connection reset")
"""In gRPC's words of a failed connection: only then it is worth a look. A dead link is none of them."""
_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""OpenSSL's numbers: X509_V_ERR_CERT_HAS_EXPIRED, _CERT_NOT_YET_VALID, _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""What OpenSSL, older and newer, calls an answer that is no TLS."""
_SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""With which HTTP/2 begins; a server that refuses the client's certificate answers with an alert instead."""


def explain(address: str, credentials: Credentials, told: str) -> AccessError | None:
    """What is wrong between this device and a server.

    Args:
        address: `host:port`.
        credentials: with which the connection was tried.
        told: what gRPC said.

    Returns:
        An error that says it, or None where the look found nothing wrong.
    """
    if not any(sign in told for sign in _SIGNS):
        return None
    try:
        return _look_tls(address, credentials) if credentials.ca is not None else _look_plain(address)
    except OSError:
        return None


def _look_plain(address: str) -> AccessError | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _shake(address, context)
    except ssl.SSLError as error:
        if not _is_alert(error):
            return None
    return AccessError(f"{address} speaks TLS and was called without; give --tls-ca, the authority of its certificate")


def _look_tls(address: str, credentials: Credentials) -> AccessError | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cafile=credentials.ca)
    if credentials.certificate is not None:
        context.load_cert_chain(credentials.certificate, credentials.key)
    try:
        greeted = _shake(address, context)
    except ssl.SSLCertVerificationError as error:
        return AccessError(_unverified(address, credentials, context, error))
    except ssl.SSLError as error:
        if error.reason in _NO_TLS:
            return AccessError(f"{address} speaks no TLS; serve with --tls-cert and --tls-key, or leave --tls-ca out")
        return _refused(address, credentials) if _is_alert(error) else None
    return None if greeted else _refused(address, credentials)


def _shake(address: str, context: ssl.SSLContext) -> bool:
    """Connect, shake hands, begin HTTP/2. Gives whether the server goes on: TLS 1.3 refuses a client only after its handshake."""
    with _connected(address, context) as secured:
        secured.sendall(_SETTINGS)
        try:
            return secured.recv(1) != b""
        except TimeoutError:
            return True


def _connected(address: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    raw = socket.create_connection((host, int(port)), LOOK_TIMEOUT_S)
    try:
        return context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def _unverified(address: str, credentials: Credentials, context: ssl.SSLContext, error: ssl.SSLCertVerificationError) -> str:
    clock = f"this device's clock says {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    if error.verify_code == _EXPIRED:
        return f"the certificate of {address} has expired ({clock}); renew it at the server"
    if error.verify_code == _NOT_YET:
        return f"the certificate of {address} is not valid yet ({clock}); set the clock"
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return (
            f"the certificate of {address} is for {_names(address, context)} and not for {address.rpartition(':')[0]!r}; "
            "call the server by a name in it, or make one with this name"
        )
    return f"no authority in {credentials.ca} signed the certificate of {address} ({error.verify_message}); --tls-ca is another"


def _names(address: str, context: ssl.SSLContext) -> str:
    """Names in a certificate whose authority is known."""
    context.check_hostname = False
    with contextlib.suppress(OSError), _connected(address, context) as secured:
        shown = secured.getpeercert() or {}
        return ", ".join(str(entry[1]) for entry in shown.get("subjectAltName", ())) or "no name"
    return "other names"


def _refused(address: str, credentials: Credentials) -> AccessError:
    """Of a server that ends the connection after the handshake; gRPC's says no more than that."""
    if credentials.certificate is None:
        return Unauthenticated(f"{address} asks for a client certificate; give --tls-cert and --tls-key")
    return Unauthenticated(
        f"{address} refuses the certificate {credentials.certificate}: it believes other authorities (its --tls-client-ca), "
        "or its clock finds the certificate expired"
    )


def _is_alert(error: ssl.SSLError) -> bool:
    """Whether the peer answered in TLS, and that it will not have us."""
    return "_ALERT_" in (error.reason or "")
