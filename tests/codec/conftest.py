"""Settings of the property tests."""

from hypothesis import settings

# A deadline is a wall-clock assertion: on a loaded machine it fails without a fault.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")
