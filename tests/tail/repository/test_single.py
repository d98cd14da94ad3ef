import pytest

from isthmus.errors import BundleNotServed, ConfigError
from isthmus.tail.repository.repository import Entry


async def test_a_single_bundle_is_a_repository_of_one(serve):
    repository = (await serve()).repository
    assert repository.index() == (Entry(name="tiny", version="1", state="READY"),)
    assert repository.ready


@pytest.mark.parametrize("verb", ["load", "unload"])
async def test_a_single_bundle_is_neither_loaded_nor_unloaded(serve, verb):
    repository = (await serve()).repository
    with pytest.raises(ConfigError, match=r"started with the bundle tiny 1 alone.*--mode explicit"):
        await getattr(repository, verb)("tiny")
    with pytest.raises(BundleNotServed, match=r"'\.\./tiny' is not served here"):
        await getattr(repository, verb)("../tiny")
