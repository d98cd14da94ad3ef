from isthmus.devices.sensors.clocks import Clock, clocks


def core(number, **files):
    return {f"sys/devices/system/cpu/cpu{number}/cpufreq/{name}": value for name, value in files.items()}


def test_each_core_tells_its_clock_and_its_governor(tree):
    files = core(0, scaling_governor="ondemand", scaling_cur_freq=600000, scaling_max_freq=1500000, cpuinfo_max_freq=1800000)
    [found] = clocks(tree(files))
    assert found == Clock(core=0, governor="ondemand", now_khz=600000, limit_khz=1500000, highest_khz=1800000)


def test_cores_come_in_their_order_and_garbage_is_unknown(tree):
    found = clocks(tree(core(10, scaling_cur_freq="<unknown>") | core(2, scaling_cur_freq=5)))
    assert [(clock.core, clock.now_khz) for clock in found] == [(2, 5), (10, None)]


def test_a_virtual_machine_has_none(tree):
    assert clocks(tree({"sys/devices/system/cpu/cpu0/topology/core_id": 0})) == ()
