import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.sensors import pmic
from isthmus.errors import DeviceError

ANSWER = """\
 3V7_WL_SW_A current(0)=0.00390372A
   VDD_CORE_A current(7)=2.00000000A
  3V7_WL_SW_V volt(8)=3.70000000V
   VDD_CORE_V volt(15)=0.75000000V
     EXT5V_V volt(24)=5.15000000V
"""


def test_rails_with_current_and_voltage_are_added_up(vcgencmd):
    [sensor] = pmic.find(vcgencmd({"pmic_read_adc": ANSWER})).sensors
    assert (sensor.name, sensor.scope) == ("sum of 2 rails", "rail")
    assert sensor.read() == pytest.approx(1.5 + 0.00390372 * 3.7)


def test_the_form_of_older_firmware_is_read_too():
    assert pmic.parse("VDD_CPU_V=0.9000V\nVDD_CPU_A=0.5000A\n") == {"VDD_CPU": 0.45}


@given(st.text(max_size=200))
def test_any_text_gives_rails_or_a_device_error(text):
    with contextlib.suppress(DeviceError):
        assert all(isinstance(power, float) for power in pmic.parse(text).values())


def test_garbage_between_the_lines_does_not_hide_a_rail(vcgencmd):
    [sensor] = pmic.find(vcgencmd({"pmic_read_adc": "\\0377\\0001 junk=1A\nVDD_A current(1)=xA\n" + ANSWER})).sensors
    assert sensor.name == "sum of 2 rails"


def test_a_rail_that_is_missing_this_time_does_not_look_like_less_power(vcgencmd):
    [sensor] = pmic.find(vcgencmd({"pmic_read_adc": ANSWER})).sensors
    vcgencmd({"pmic_read_adc": ANSWER.replace("VDD_CORE_A", "VDD_CORE_X")})
    with pytest.raises(DeviceError, match="did not tell VDD_CORE this time"):
        sensor.read()


def test_a_board_that_cannot_answer_the_question_has_no_such_sensor_and_no_problem(vcgencmd, tmp_path):
    assert (pmic.find(vcgencmd({})).sensors, pmic.find(vcgencmd({})).problems) == ((), ())


def test_an_answer_without_rails_is_a_problem(vcgencmd):
    found = pmic.find(vcgencmd({"pmic_read_adc": "nothing here"}))
    assert (len(found.sensors), len(found.problems)) == (0, 1)
