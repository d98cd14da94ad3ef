import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.cores import fast_cores, parse_cores, pin
from isthmus.errors import ConfigError, DeviceError


def board(root, *clocks_mhz):
    for core, clock in enumerate(clocks_mhz):
        folder = root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "cpuinfo_max_freq").write_text(f"{clock * 1000}\n")
    (root / "sys/devices/system/cpu/cpufreq").mkdir(parents=True, exist_ok=True)
    return root


@pytest.mark.parametrize(
    ("clocks_mhz", "fast"),
    [((1800, 1800, 2400, 2400), {2, 3}), ((1500, 1500, 1500, 1500), {0, 1, 2, 3}), ((4900, 5000, 3600), {0, 1}), ((), set())],
)
def test_the_cores_of_the_highest_clock_are_the_fast_ones(tmp_path, clocks_mhz, fast):
    assert fast_cores(board(tmp_path, *clocks_mhz)) == fast


@given(st.sets(st.integers(0, 200), min_size=1))
def test_a_list_of_cores_is_read_as_it_is_written(cores):
    assert parse_cores(",".join(map(str, cores))) == cores


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "12345"])
def test_what_is_no_list_of_cores_is_a_config_error(text):
    with pytest.raises(ConfigError, match="not a list of cores"):
        parse_cores(text)


def test_threads_started_after_it_keep_to_the_cores():
    one = frozenset([max(os.sched_getaffinity(0))])
    seen = []

    def run():
        assert pin(one | {9999}) == one
        inner = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        inner.start()
        inner.join()

    outer = threading.Thread(target=run)
    outer.start()
    outer.join()
    assert seen == [one]
    assert os.sched_getaffinity(0) >= one


def test_cores_that_are_not_there_are_a_device_error():
    with pytest.raises(DeviceError, match="none of the cores 9998, 9999"):
        pin(frozenset([9998, 9999]))
