import pytest

from isthmus.errors import TailUnavailable
from isthmus.head.credentials import Credentials
from isthmus.head.update.readiness import is_served


def test_a_bundle_is_served_where_any_server_has_it(serve, make_tiny_bundle, tiny_bundle):
    other = make_tiny_bundle(seed=9)
    addresses = ["127.0.0.1:1", serve(tiny_bundle).address, serve(other).address]
    assert is_served(other.digest, addresses, Credentials())
    assert not is_served("0" * 64, addresses, Credentials())


def test_where_nobody_answers_nothing_is_known():
    with pytest.raises(TailUnavailable):
        is_served("0" * 64, ["127.0.0.1:1"], Credentials())
