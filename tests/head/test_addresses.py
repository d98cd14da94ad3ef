import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import ConfigError
from isthmus.head.addresses import Names, check_address, preferred_order

pytestmark = pytest.mark.usefixtures("no_threads_left")
ADDRESSES = st.lists(st.integers(1, 65535).map("tail:{}".format), min_size=1, max_size=6, unique=True)


@given(addresses=ADDRESSES, device=st.text(max_size=8), data=st.data())
def test_a_removed_address_moves_only_the_devices_that_preferred_it(addresses, device, data):
    order = preferred_order(device, addresses)
    assert sorted(order) == sorted(addresses)
    gone = data.draw(st.sampled_from(addresses))
    rest = [address for address in data.draw(st.permutations(addresses)) if address != gone]
    assert preferred_order(device, rest) == [address for address in order if address != gone]


def test_devices_spread_over_the_addresses():
    addresses = ["a:1", "b:1", "c:1"]
    first = [preferred_order(f"camera-{number}", addresses)[0] for number in range(300)]
    assert all(70 <= first.count(address) <= 130 for address in addresses)


@pytest.mark.parametrize("address", ["192.0.2.7:8001", "tail.local:1", "[::1]:65535"])
def test_an_address_is_taken_as_it_is(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "tail",
        ":8001",
        "tail:",
        "tail:0",
        "tail:65536",
        "tail:-1",
        "tail:8k",
        "tail:\u00b2",
        "::1:8001",
        "http://tail:80",
        "a b:1",
    ],
)
def test_what_is_not_host_and_port_is_refused(address):
    with pytest.raises(ConfigError, match="write HOST:PORT"):
        check_address(address)


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1:80", socket.AF_INET), ("[::1]:80", socket.AF_INET6)])
def test_numbers_lead_where_they_say(address, family):
    assert [(found, where[1]) for found, where in Names().find(address)] == [(family, 80)]


def test_a_name_of_this_machine_is_found_at_once():
    assert ("127.0.0.1", 80) in [where[:2] for _, where in Names().find("localhost:80")]


def test_what_a_name_led_to_counts_while_it_cannot_be_found(monkeypatch):
    names = Names()
    known = names.find("localhost:80")
    monkeypatch.setattr("isthmus.head.addresses.REFRESH_S", -1.0)

    def fail(host, *_args, **_options):
        raise socket.gaierror(f"no name server for {host}")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert names.find("localhost:80") == known != []


def test_a_name_that_nobody_knows_leads_nowhere():
    assert Names().find("nobody.invalid:80") == []
