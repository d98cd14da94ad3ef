"""A profile's power sensors beside those that were found."""

import re
from collections.abc import Iterator
from dataclasses import replace

from isthmus.devices.profiles.profile import ExpectedPower, Profile
from isthmus.devices.sensors.power import Found, PowerSensor, Problem


def scoped(found: Found, profile: Profile | None) -> Found:
    """Give sensors the scope that the profile says they have: what a chip of one's own is wired into no driver knows."""
    if profile is None:
        return found
    sensors = tuple(
        next((replace(sensor, scope=one.scope) for one in profile.sensors.power if _fits(one, sensor)), sensor)
        for sensor in found.sensors
    )
    return replace(found, sensors=sensors)


def missing(profile: Profile, found: Found) -> Iterator[Problem]:
    """Every sensor that the profile expects, if none of them is there: each is a way to the same end."""
    expected = profile.sensors.power
    if not any(_fits(one, sensor) for one in expected for sensor in found.sensors):
        for one in expected:
            yield Problem(sensor=f"{one.source} power sensor", why="none was found", advice=one.missing)


def _fits(expected: ExpectedPower, sensor: PowerSensor) -> bool:
    return expected.source == sensor.source and re.search(expected.name, sensor.name) is not None
