import pytest

from isthmus.errors import BundleNotServed, ContractMismatch
from isthmus.tail.catalog import Catalog
from isthmus.tail.served import Served
from isthmus.tail.settings import ServerSettings


@pytest.fixture
async def catalog(make_tiny_bundle):
    """cups 1 and cups 2 of different contracts, and plates 1 of the contract of cups 1."""
    first, second = make_tiny_bundle(), make_tiny_bundle(batch="1")
    made = Catalog()
    for name, version, bundle in (("cups", "1", first), ("cups", "2", second), ("plates", "1", first)):
        made.add(await Served.load(bundle, ServerSettings(instances=1), name=name, version=version))
    everything = list(made)
    yield made
    for served in everything:
        await served.close()


async def test_the_newest_version_is_meant_where_none_is_named(catalog):
    assert (catalog.find("cups").version, catalog.find("cups", "1").version) == ("2", "1")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("mugs",), "bundle 'mugs' is not served here; this server has 'cups', 'plates'"),
        (("cups", "3"), "bundle 'cups' version '3' is not served here"),
        ((), "several bundles are served here, name one: 'cups', 'plates'"),
        (("x" * 10_000,), "^bundle 'x{128}' is not"),
    ],
)
async def test_what_is_not_served_is_refused_with_what_is(catalog, asked, message):
    with pytest.raises(BundleNotServed, match=message):
        catalog.find(*asked)


async def test_a_device_gets_the_bundle_whose_contract_it_holds(catalog):
    digest = catalog.find("cups", "1").bundle.digest
    assert [catalog.find_contract(digest, name).name for name in ("cups", "plates", "")] == ["cups", "plates", "plates"]
    with pytest.raises(ContractMismatch, match=r"holds contract 00000000.*\(cups 2\).*give both the same bundle"):
        catalog.find_contract("00" * 32)
    with pytest.raises(ContractMismatch, match="the device asks for bundle 'mugs', this server serves 'cups', 'plates'"):
        catalog.find_contract(digest, "mugs")


async def test_versions_are_numbers_and_come_in_any_order(catalog, make_tiny_bundle):
    late = await Served.load(make_tiny_bundle(), ServerSettings(instances=1), name="cups", version="10")
    catalog.add(late)
    for served in [catalog.find("cups", "1"), catalog.find("cups", "2")]:
        catalog.remove(served)
        catalog.add(served)
    assert catalog.find("cups") is late
    await late.close()


async def test_what_took_the_place_of_another_is_not_removed_with_it(catalog, make_tiny_bundle):
    old, new = catalog.find("plates"), await Served.load(make_tiny_bundle(), ServerSettings(instances=1), name="plates")
    catalog.add(new)
    catalog.remove(old)
    assert catalog.find("plates") is new
    await new.close()


async def test_a_bundle_that_was_removed_is_not_found(catalog):
    catalog.remove(catalog.find("plates"))
    assert [str(served) for served in catalog] == ["cups 1", "cups 2"]
