from isthmus.devices.profiles.profile import Cores


def test_peak_arithmetic_of_a_core_is_its_clock_times_its_width():
    assert Cores(clock_mhz=1800, flops_per_cycle=8).peak_flops_per_s == 14.4e9


def test_peak_arithmetic_is_unknown_where_a_part_of_it_is():
    assert Cores(clock_mhz=1800).peak_flops_per_s is None
    assert Cores(flops_per_cycle=8).peak_flops_per_s is None
