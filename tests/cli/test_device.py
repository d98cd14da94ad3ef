import json

import pytest
from typer.testing import CliRunner

from isthmus.cli.main import app
from isthmus.devices.profiles import catalog

runner = CliRunner()


def device(*arguments):
    done = runner.invoke(app, ["device", *map(str, arguments)])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_probe_tells_profile_energy_and_what_is_missing():
    [row] = json.loads(device("probe", "--json"))["rows"]
    assert row["profile"] in catalog.names()
    assert row["energy"].split(":")[0] in ("measured", "modelled", "not measured")
    assert all(problem["why"] and problem["advice"] for problem in row["missing"])
    assert row["memory_available_bytes"] <= row["memory_bytes"]


def test_probe_compares_with_the_profile_it_is_given():
    [row] = json.loads(device("probe", "--profile", "jetson-nano", "--json"))["rows"]
    assert row["profile"] == "jetson-nano"
    assert {"iio power sensor", "hwmon power sensor"} <= {problem["sensor"] for problem in row["missing"]}


def test_people_get_tables():
    assert "what to do" in device("probe")
    assert "Raspberry Pi 4" in device("profiles")
    assert "power.idle_w" in device("profiles", "rpi4")
    assert "kind" in device("sensors")


def test_sensors_are_looked_at_as_often_as_asked():
    looks = device("sensors", "--watch", "--looks", "2", "--every", "1ms", "--json")
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(looks.rstrip()):
        text, place = decoder.raw_decode(looks, place)
        found.append(text)
        place += 1
    assert len(found) == 2
    assert {"kind", "sensor", "value", "unit", "note"} == set(found[0]["rows"][0])
    assert "memory" in device("sensors", "--watch", "--looks", "2", "--every", "1ms")


def test_profiles_are_listed_whole_for_programs():
    found = json.loads(device("profiles", "--json"))
    assert [row["name"] for row in found["rows"]] == list(catalog.names())
    assert found["meta"]["this_machine"] in catalog.names()


def test_a_file_of_ones_own_is_shown(tmp_path):
    path = tmp_path / "porch.toml"
    path.write_text('name = "porch"\ntitle = "my board"\nchecked = "here"\nmatch.architecture = "aarch64"\n')
    assert json.loads(device("profiles", path, "--json"))["rows"][0]["title"] == "my board"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["profiles", "rpi9"], 3, "there is no profile 'rpi9'"),
        (["probe", "--profile", "rpi9"], 3, "there is no profile 'rpi9'"),
        (["sensors", "--every", "often"], 2, "--every"),
    ],
)
def test_a_mistake_is_one_line(arguments, exit_code, words):
    done = runner.invoke(app, ["device", *arguments])
    assert (done.exit_code, words in done.stderr) == (exit_code, True)
