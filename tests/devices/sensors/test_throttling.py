import pytest

from isthmus.devices.sensors.throttling import Throttling, look

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("word", "now", "since_start"),
    [
        ("0x0", (), ()),
        ("0x50005", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("0x20000", (), ("clock capped",)),
        ("80008", ("soft temperature limit",), ("soft temperature limit",)),
    ],
)
def test_the_bits_of_a_raspberry_pi_are_named(vcgencmd, word, now, since_start):
    assert look(vcgencmd({"get_throttled": f"throttled={word}\n"})) == Throttling(now=now, since_start=since_start)


def test_the_kernels_file_is_taken_before_the_program(vcgencmd, tree):
    vcgencmd({"get_throttled": "throttled=0x1"})
    assert look(tree({FIRMWARE: "0"})) == Throttling()


def test_the_counters_of_an_intel_processor_are_added_up(tree):
    folder = "sys/devices/system/cpu/cpu{}/thermal_throttle"
    files = {f"{folder.format(0)}/core_throttle_count": 3, f"{folder.format(1)}/package_throttle_count": 4}
    assert look(tree(files | {f"{folder.format(1)}/core_throttle_count": "x"})) == Throttling(events=7)


@pytest.mark.parametrize("answer", ["", "throttled=", "throttled=0xzz", "error=1 error_msg"])
def test_garbage_tells_nothing(vcgencmd, answer):
    assert look(vcgencmd({"get_throttled": answer})) is None


def test_a_program_that_fails_tells_nothing(vcgencmd):
    assert look(vcgencmd({"get_throttled": "throttled=0x0"}, exit_code=1)) is None
