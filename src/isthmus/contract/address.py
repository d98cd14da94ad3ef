"""Network addresses: what only this machine reaches."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; of a name only `localhost` is believed.

    >>> [is_loopback(host) for host in ("127.0.0.1", "[::1]", "::ffff:127.0.0.1", "localhost")]
    [True, True, True, True]
    >>> [is_loopback(host) for host in ("192.0.2.7", "0.0.0.0", "::", "example.org", "localhost.example.org")]
    [False, False, False, False, False]
    """
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
