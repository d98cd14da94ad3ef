"""Energy from a profile's power model where no sensor tells it: a label, never a measurement.

Power is taken to rise in a straight line from idle to all cores busy (as Fan, Weber and Barroso found for servers, ISCA 2007).
What a given board draws depends on its supply, its peripherals and its temperature.
"""

from isthmus.devices.energy.quantity import Energy
from isthmus.devices.profiles.profile import Profile


def modelled(profile: Profile, *, duration_s: float, cpu_s: float, cores: int) -> Energy | None:
    """What the model gives for an interval; None where the profile has no model.

    Args:
        profile: of the machine.
        duration_s: of the interval, above 0.
        cpu_s: processor time of all threads in it.
        cores: that the machine has.
    """
    model = profile.power
    if model is None:
        return None
    utilisation = min(1.0, cpu_s / (duration_s * cores))
    above_idle_j = (model.busy_w - model.idle_w) * utilisation * duration_s
    return Energy(
        kind="modelled",
        joules=model.idle_w * duration_s + above_idle_j,
        doubt_j=None,
        source=f"power model of profile {profile.name}",
        scope=model.scope,
        rate_hz=None,
        samples=None,
        duration_s=duration_s,
        idle_w=model.idle_w,
        above_idle_j=above_idle_j,
        note=f"{utilisation:.0%} of {cores} cores; {model.checked}",
    )
