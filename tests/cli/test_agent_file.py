import inspect

import pytest

from isthmus.cli import running
from isthmus.cli.agent_file import EXAMPLES, AgentFile, read_agent_file
from isthmus.errors import ConfigError, UsageError


@pytest.fixture
def write(tmp_path):
    """A function that writes agent.toml."""

    def run(text):
        path = tmp_path / "agent.toml"
        path.write_text(text)
        return path

    return run


def test_flags_count_over_the_environment_and_that_over_the_file(write, monkeypatch):
    path = write('source = "file"\nthreads = 1\npoint = 1\n')
    monkeypatch.setenv("ISTHMUS_THREADS", "2")
    monkeypatch.setenv("ISTHMUS_POINT", "2")
    asked = read_agent_file(path, {"point": 3})
    assert (asked.source, asked.threads, asked.point, asked.placement) == ("file", 2, 3, "split")


def test_lists_are_lists_in_the_file_and_have_commas_in_the_environment(write, monkeypatch):
    path = write('tail = ["a:1", "b:2"]\nsink = ["jsonl:x"]\n')
    monkeypatch.setenv("ISTHMUS_SINK", "jsonl:-, images:shown")
    asked = read_agent_file(path, {})
    assert (asked.tail, asked.sink) == (("a:1", "b:2"), ("jsonl:-", "images:shown"))


def test_durations_and_sizes_are_text_or_numbers(write):
    asked = read_agent_file(write('deadline = "100ms"\nwait = 2\nevidence = "32MB"\nframe_size = "640x480"\n'), {})
    assert (asked.deadline, asked.wait, asked.evidence, asked.frame_size) == (0.1, 2.0, 32_000_000, (640, 480))


def test_everything_arrives_at_the_agent(write):
    text = 'source = "cmd:x"\ntail = ["a:1"]\nframe_format = "yuv420"\nframe_size = "64x48"\nhot = 60\nbattery_low = 30\n'
    settings = read_agent_file(write(f'{text}float_head = true\ndevice_id = "porch"\nfps = 5\n'), {}).for_agent()
    assert (settings.form.pixels, settings.form.size, settings.thrift.hot_c) == ("yuv420", (64, 48), 60.0)
    assert (settings.thrift.battery_low_share, settings.int8, settings.device_id, settings.fps) == (0.3, False, "porch", 5.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thraeds = 2", r"agent\.toml: 'thraeds' is no setting"),
        ("threads = 0", r"agent\.toml: threads = 0: .*greater than or equal to 1"),
        ('deadline = "soon"', "deadline = 'soon': 'soon' is not a duration"),
        ('evidence = "much"', "'much' is not a size"),
        ('placement = "moon"', "placement = 'moon'"),
        ("source = ", "is no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_config_error_of_one_line(write, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_agent_file(write(text), {})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_agent_file(tmp_path / "agent.toml", {})


def test_a_flag_that_cannot_be_used_is_a_usage_error_with_its_name():
    with pytest.raises(UsageError, match="--frame-size big: the frame size 'big'"):
        read_agent_file(None, {"frame_size": "big"})


def test_a_variable_that_cannot_be_used_is_named(monkeypatch):
    monkeypatch.setenv("ISTHMUS_THREADS", "many")
    with pytest.raises(ConfigError, match="the variable ISTHMUS_THREADS is 'many'"):
        read_agent_file(None, {})


def test_without_a_source_nothing_runs():
    with pytest.raises(UsageError, match="no source is named"):
        read_agent_file(None, {}).for_agent()


def test_every_setting_is_described_and_has_a_default_or_an_example():
    for name, field in AgentFile.model_fields.items():
        assert field.description, name
        given = {"bundle", "source", "tail", "sink", "metrics_port"}
        assert field.default not in (None, "", ()) or name in EXAMPLES.keys() | given, name


def test_the_examples_are_values_that_are_taken():
    for name, value in EXAMPLES.items():
        assert getattr(read_agent_file(None, {name: value}), name) is not None


def test_every_flag_of_run_is_a_setting():
    flags = set(inspect.signature(running.run).parameters)
    assert flags - {"context", "config", "check", "as_json"} == set(AgentFile.model_fields)


def test_the_defaults_of_the_flags_are_those_of_the_settings():
    parameters = inspect.signature(running.run).parameters
    for name, field in AgentFile.model_fields.items():
        default = parameters[name].default
        assert getattr(read_agent_file(None, {} if default is None else {name: default}), name) == field.default, name


def test_the_agent_may_choose_placements_and_pictures_by_itself(write):
    path = write('source = "frames"\nplacement = "auto"\npicture = "jpeg-75,webp-15"\ndeadline = "200ms"\n')
    settings = read_agent_file(path, {}).for_agent()
    assert (settings.placement, settings.picture, settings.deadline_s) == ("auto", "jpeg-75,webp-15", 0.2)
