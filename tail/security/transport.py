"""Bounds of the gRPC port below the calls: connections that never begin, dawdle, or are too many.

What gRPC does by itself: a peer that floods pings is disconnected (ENHANCE_YOUR_CALM), so is one that speaks no HTTP/2; one
whose keepalive pings stay unanswered is given up; a message over the limit is refused before it is held.
"""

HANDSHAKE_TIMEOUT_MS = 10_000
"""From the connection to the end of TLS and of HTTP/2's settings: several round trips of a bad link. gRPC's own: two minutes."""
IDLE_MS = 300_000
"""A connection without a call is closed after this; clients that come back connect again without being asked."""
SPARE_CONNECTIONS = 128
"""Beside one for each stream: health checks, tools, and devices that have come back before their old connection was given up."""


def transport_options(streams_max: int) -> list[tuple[str, int]]:
    """Options of gRPC for them.

    Args:
        streams_max: device streams at a time. A connection more than twice as many and `SPARE_CONNECTIONS` is closed at once.
    """
    return [
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
        ("grpc.max_allowed_incoming_connections", 2 * streams_max + SPARE_CONNECTIONS),
    ]
