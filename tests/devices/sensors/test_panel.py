from isthmus.devices.sensors import panel


def lines(root):
    return {(line.kind, line.sensor): line for line in panel.read(root)}


def test_everything_that_is_there_has_a_line(tree):
    root = tree(
        {
            "sys/class/powercap/intel-rapl:0/name": "package-0",
            "sys/class/powercap/intel-rapl:0/energy_uj": 3_000_000,
            "sys/class/powercap/intel-rapl:0/max_energy_range_uj": 10**9,
            "sys/class/powercap/intel-rapl:1/name": "package-1",
            "sys/class/powercap/intel-rapl:1/max_energy_range_uj": 10**9,
            "sys/class/thermal/thermal_zone0/temp": 50000,
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 1500000,
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": 2,
            "sys/class/power_supply/BAT0/type": "Battery",
            "sys/class/power_supply/BAT0/capacity": 40,
            "proc/meminfo": "MemAvailable: 1 kB",
            "proc/pressure/io": "some avg10=1.00 avg60=0 avg300=0 total=5",
            "proc/stat": "cpu  1 0 0 1 0 0 0 0 0 0",
            "proc/loadavg": "0.25 0 0 1/2 3",
        }
    )
    found = lines(root)
    assert (found["energy", "rapl package-0"].value, found["energy", "rapl package-0"].note) == (3.0, "package")
    assert "is not there" in found["power", "rapl package-1"].note
    assert found["temperature", "thermal_zone0 unknown"].value == 50.0
    assert found["clock", "core 0"].value == 1500.0
    assert found["throttling", "hardware"].note == "2 events since the start"
    assert found["battery", "BAT0"].value == 0.4
    assert (found["pressure", "io"].value, found["load", "mean of a minute"].value) == (0.01, 0.25)
    assert found["memory", "available"].value == 1024


def test_a_machine_without_sensors_has_no_lines(tmp_path):
    assert panel.read(tmp_path) == []
