import dataclasses
import json

import pytest

from isthmus.devices.sensors.load import Load
from isthmus.devices.sensors.throttling import Throttling
from isthmus.devices.steadiness import State, compare, look

CALM = State(
    time_s=0.0,
    governors=("performance",),
    clock_mhz=2400.0,
    clock_limit_mhz=2400.0,
    temperature_c=50.0,
    throttling=Throttling(events=3),
    load=Load(total_s=100.0, busy_s=50.0, stolen_s=0.0, own_s=10.0, average=0.1),
    memory_available_bytes=10**9,
    memory_waited_s=1.0,
)
LATER = dataclasses.replace(CALM, time_s=10.0, load=dataclasses.replace(CALM.load, total_s=120.0, busy_s=61.0, own_s=20.0))


def test_a_machine_that_stays_the_same_is_steady():
    found = compare(CALM, LATER)
    assert (found.is_steady, found.others_share, found.remarks) == (True, pytest.approx(0.05), ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"load": dataclasses.replace(LATER.load, busy_s=70.0)}, "other programs took 50%"),
        ({"load": dataclasses.replace(LATER.load, stolen_s=4.0)}, "other programs took 25%"),
        ({"governors": ("powersave",)}, "governor changed from performance to powersave"),
        ({"clock_limit_mhz": 1500.0}, "limit fell from 2400 to 1500 MHz"),
        ({"throttling": Throttling(now=("under-voltage",), events=3)}, "slowed itself down: under-voltage"),
        ({"throttling": Throttling(since_start=("throttled",), events=3)}, "in between: throttled"),
        ({"throttling": Throttling(events=5)}, "2 new throttling events"),
        ({"temperature_c": 79.0}, "79 degrees hot"),
        ({"temperature_c": 61.0}, "from 50 to 61 degrees"),
        ({"memory_waited_s": 3.0}, "waited for memory 20%"),
    ],
)
def test_each_change_makes_a_run_unsteady_and_is_named(changes, words):
    found = compare(CALM, dataclasses.replace(LATER, **changes))
    assert not found.is_steady
    assert [words in reason for reason in found.reasons] == [True]


def test_what_was_so_before_the_run_is_no_news():
    old = Throttling(since_start=("under-voltage",), events=3)
    assert compare(dataclasses.replace(CALM, throttling=old), dataclasses.replace(LATER, throttling=old)).is_steady


def test_clocks_that_follow_the_load_are_a_remark():
    state = dataclasses.replace(CALM, governors=("ondemand",))
    found = compare(state, dataclasses.replace(state, time_s=1.0))
    assert found.is_steady
    assert "`performance` is steadier" in found.remarks[0]


def test_a_machine_that_tells_nothing_is_not_called_unsteady_and_says_what_is_hidden(tmp_path):
    state = look(0.0, tmp_path)
    found = compare(state, dataclasses.replace(state, time_s=1.0))
    assert (found.is_steady, found.others_share, len(found.remarks)) == (True, None, 4)


def test_a_look_reads_the_tree(tree):
    folder = "sys/devices/system/cpu/cpu{}/cpufreq"
    files = {f"{folder.format(0)}/scaling_cur_freq": 1000000, f"{folder.format(1)}/scaling_cur_freq": 2000000}
    files |= {f"{folder.format(0)}/scaling_governor": "ondemand", "sys/class/thermal/thermal_zone0/temp": 42000}
    state = look(3.0, tree(files | {"proc/meminfo": "MemAvailable: 4 kB"}))
    assert (state.time_s, state.governors, state.clock_mhz, state.clock_limit_mhz) == (3.0, ("ondemand",), 1500.0, None)
    assert (state.temperature_c, state.memory_available_bytes) == (42.0, 4096)


def test_a_result_file_has_all_of_it():
    found = compare(CALM, LATER).as_json()
    assert (found["steady"], found["before"]["temperature_c"], found["after"]["load"]["busy_s"]) == (True, 50.0, 61.0)
    assert json.loads(json.dumps(found)) == found
