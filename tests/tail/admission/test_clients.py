import pytest

from isthmus.tail.admission import clients as module
from isthmus.tail.admission.clients import Clients, name_of
from isthmus.tail.admission.limits import ClientLimits
from isthmus.tail.security.identity import ALL, Identity, anonymous


def token(name):
    return Identity(name=name, kind="token", scopes=ALL)


def test_an_identity_is_one_client_wherever_it_calls_from():
    clients = Clients(ClientLimits())
    assert clients.find(token("farm")) is clients.find(token("farm"))
    assert clients.find(token("farm")) is not clients.find(Identity(name="farm", kind="certificate", scopes=ALL))
    assert clients.find(token("192.0.2.7")) is not clients.find(anonymous("192.0.2.7"))


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("unix", "unix", True),
    ],
)
def test_an_address_is_a_client_and_of_ipv6_the_network(one, two, same):
    assert (name_of(anonymous(one)) == name_of(anonymous(two))) is same


def test_who_is_away_and_owes_nothing_is_forgotten(time):
    clients = Clients(ClientLimits(rate_per_s=1), clock=time)
    for number in range(100):
        clients.find(token(str(number)))
    assert len(clients) <= 3


def test_who_owes_something_or_has_a_stream_is_remembered(time):
    clients = Clients(ClientLimits(rate_per_s=1), clock=time)
    owes = clients.find(token("owes"))
    owes.admit(0)
    streams = clients.find(token("streams"))
    streams.open_stream()
    for number in range(100):
        clients.find(token(str(number)))
    assert clients.find(token("owes")) is owes
    time.pass_s(1)
    for number in range(100):
        clients.find(token(str(number)))
    assert clients.find(token("owes")) is not owes
    assert clients.find(token("streams")) is streams


def test_addresses_without_end_are_forgiven_and_not_remembered(time, monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED_MAX", 50)
    clients = Clients(ClientLimits(rate_per_s=0.001), clock=time)
    for number in range(1000):
        clients.find(anonymous(f"192.0.{number // 256}.{number % 256}")).admit(0)
    assert len(clients) <= 51
