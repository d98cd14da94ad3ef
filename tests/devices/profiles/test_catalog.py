import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.devices.profiles import catalog
from isthmus.errors import ConfigError

OWN = """
name = "porch"
title = "my board"
checked = "here, with a meter"
[match]
architecture = "aarch64"
[power]
idle_w = 1.5
busy_w = 4.0
scope = "board"
source = "my meter"
checked = "twice"
"""


def test_the_promised_profiles_are_there_and_say_how_far_they_were_checked():
    assert set(catalog.names()) == {"rpi4", "rpi5", "jetson-nano", "orin-nano", "x86-64", "arm64"}
    for name in catalog.names():
        profile = catalog.load(name)
        assert profile.name == name
        assert profile.checked
        assert profile.cores.source or profile.cores.count is None
        assert profile.power is None or (profile.power.source and profile.power.checked)


@pytest.mark.parametrize(
    ("architecture", "board", "name"),
    [
        ("aarch64", "Raspberry Pi 4 Model B Rev 1.4", "rpi4"),
        ("aarch64", "Raspberry Pi 400 Rev 1.0", "rpi4"),
        ("aarch64", "Raspberry Pi 5 Model B Rev 1.0", "rpi5"),
        ("aarch64", "Raspberry Pi 500 Rev 1.0", "rpi5"),
        ("aarch64", "NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
        ("aarch64", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "orin-nano"),
        ("aarch64", "Raspberry Pi 3 Model B", "arm64"),
        ("aarch64", None, "arm64"),
        ("x86_64", None, "x86-64"),
        ("x86_64", "Raspberry Pi 4 Model B", "x86-64"),
    ],
)
def test_a_machine_finds_its_profile(architecture, board, name):
    assert catalog.choose(architecture, board).name == name


def test_another_architecture_has_none():
    assert catalog.choose("riscv64", "VisionFive 2") is None


def test_a_users_own_file_is_taken(tmp_path):
    path = tmp_path / "porch.toml"
    path.write_text(OWN)
    assert catalog.load(str(path)).power.idle_w == 1.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OWN.replace('title = "my board"', ""), "'title': Field required"),
        (OWN + "surprise = 1", "'power.surprise'"),
        (OWN.replace("1.5", "-1"), "'power.idle_w'"),
        (OWN.replace("aarch64", "vax"), "'match.architecture'"),
        (OWN.replace('architecture = "aarch64"', 'architecture = "aarch64"\nboard = "("'), "no regular expression"),
        ("name = ", "is not TOML"),
        ("", "Field required"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_place(tmp_path, text, words):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"own\.toml") as caught:
        catalog.load(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="there is no profile 'rpi9'; there are arm64, "):
        catalog.load("rpi9")
    with pytest.raises(ConfigError, match="cannot read profile"):
        catalog.load(str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        catalog.load(str(tmp_path / "binary.toml"))


@given(st.text(max_size=100))
def test_any_text_is_a_profile_or_a_config_error(text):
    with pytest.raises(ConfigError):
        catalog.parse(text, origin="x")
