import dataclasses
import itertools
import threading

import pytest

from isthmus.devices.energy.meter import LOST_AFTER, EnergyMeter
from isthmus.devices.energy.quantity import above_idle
from isthmus.devices.sensors.power import PowerSensor
from isthmus.errors import DeviceError


def meter(machine, sensor, **options):
    return EnergyMeter([sensor], clock=machine.clock, wait=lambda _event, seconds: machine.passes(seconds), **options)


def work(machine, meter, seconds, *, steps=400):
    """Time goes by in steps, each with a sample; the energy over all of them."""
    started = meter.now()
    for _ in range(steps):
        machine.passes(seconds / steps)
        meter.sample()
    return meter.energy(started, meter.now())


@pytest.mark.parametrize("quantity", ["energy", "power"])
def test_work_above_idle_is_found(make_machine, quantity):
    machine = make_machine(watts=2.0, counted_j=64_995.0)
    metering = meter(machine, machine.sensor(quantity))
    metering.sample()
    before = work(machine, metering, 2.0)
    machine.watts = 6.0
    metering.sample()
    busy = work(machine, metering, 4.0)
    machine.watts = 2.0
    metering.sample()
    found = above_idle(busy, before, work(machine, metering, 2.0)).per_inference(100)
    assert found.joules == pytest.approx(0.24, rel=0.02)
    assert found.above_idle_j == pytest.approx(0.16, abs=found.above_idle_doubt_j + 1e-9)


def test_a_sensor_whose_value_stands_still_is_not_believed(make_machine):
    machine = make_machine()
    still = dataclasses.replace(machine.sensor("power"), read=lambda: 2.0)
    metering = meter(machine, still)
    metering.sample()
    with pytest.raises(DeviceError, match="gave 1 new values in 2 s, 10 are needed"):
        work(machine, metering, 2.0).per_inference(100)


def test_idle_waits_and_tells_what_was_taken(make_machine):
    machine = make_machine(watts=3.0)
    metering = meter(machine, machine.sensor())
    metering.sample()
    assert metering.idle(2.0).watts == pytest.approx(3.0)


def test_the_slowest_sensor_sets_the_rate(make_machine):
    machine = make_machine()
    assert meter(machine, machine.sensor(rate_max_hz=1.0)).rate_hz == 1.0
    assert meter(machine, machine.sensor()).rate_hz == 100.0
    assert meter(machine, machine.sensor(), rate_hz=500.0).rate_hz == 500.0


def test_an_answer_that_fails_once_is_missed_and_no_more(make_machine):
    machine = make_machine(watts=2.0)
    metering = meter(machine, machine.sensor())
    metering.sample()
    started = metering.now()
    machine.broken = "asleep"
    machine.passes(0.5)
    assert not metering.sample()
    machine.broken = ""
    machine.passes(0.5)
    assert metering.energy(started, metering.now()).joules == pytest.approx(2.0)


def test_a_sensor_that_vanishes_while_it_is_read_is_a_device_error(make_machine):
    machine = make_machine()
    metering = meter(machine, machine.sensor())
    metering.sample()
    machine.broken = "energy_uj is not there"
    for _ in range(LOST_AFTER):
        machine.passes(0.01)
        metering.sample()
    with pytest.raises(DeviceError, match="rapl went away while it was measured: energy_uj is not there"):
        metering.energy(0.0, metering.now())


def test_a_machine_without_sensors_has_no_meter():
    with pytest.raises(DeviceError, match="no sensor tells power here"):
        EnergyMeter([])


def test_its_thread_samples_while_it_is_open():
    counter, sampled = itertools.count(), threading.Semaphore(0)

    def read():
        sampled.release()
        return next(counter) / 1000

    sensor = PowerSensor(
        source="rapl", name="package-0", scope="package", quantity="energy", read=read, rate_max_hz=1000.0, wraps_j=1e6
    )
    with EnergyMeter([sensor], rate_hz=1000.0) as metering:
        assert sampled.acquire(timeout=10)
        started = metering.now()
        assert all(sampled.acquire(timeout=10) for _ in range(20))
        found = metering.energy(started, metering.now())
    assert found.samples >= 10
    assert found.joules > 0.01
    alive = [thread.name for thread in threading.enumerate()]
    assert "isthmus-energy" not in alive
