"""A bundle of either kind, loaded to be served."""

from isthmus.contract.bundle import AnyBundle, LanguageBundle
from isthmus.tail.generate.served import ServedLanguage
from isthmus.tail.served import AnyServed, Served
from isthmus.tail.settings import ServerSettings


async def load(bundle: AnyBundle, settings: ServerSettings, *, name: str = "", version: str = "") -> AnyServed:
    """Load it; see `Served.load` and `ServedLanguage.load`."""
    if isinstance(bundle, LanguageBundle):
        return await ServedLanguage.load(bundle, settings, name=name, version=version)
    return await Served.load(bundle, settings, name=name, version=version)
