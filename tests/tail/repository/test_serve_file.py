import pytest

from isthmus.errors import ConfigError
from isthmus.tail.repository import serve_file
from isthmus.tail.settings import ServerSettings

ALL = """
versions = 2
instances = 3
threads = 4
provider = "cpu"
queue_max = 5
batch_max = 6
pictures = "off"
"""


def test_what_it_says_goes_over_the_settings_of_the_server(tmp_path):
    (tmp_path / "serve.toml").write_text(ALL)
    said = serve_file.read(tmp_path)
    run = said.over(ServerSettings(instances=1, streams_max=7))
    assert said.versions == 2
    assert (run.instances, run.threads, run.provider, run.queue_max, run.batch_max, run.pictures) == (3, 4, "cpu", 5, 6, "off")
    assert run.streams_max == 7


def test_where_there_is_none_everything_is_as_the_server_has_it(tmp_path):
    settings = ServerSettings(instances=2, queue_max=9)
    assert serve_file.read(tmp_path).over(settings) == settings
    assert serve_file.read(tmp_path).versions == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instnces = 2", "'instnces': Extra inputs are not permitted; the keys are versions, instances, threads"),
        ("instances = 0", "'instances': Input should be greater than or equal to 1"),
        ("instances = '2'", "'instances': Input should be a valid integer"),
        ("instances = true", "'instances': Input should be a valid integer"),
        ("versions = 'some'", "'versions"),
        ("provider = 'tpu'", "'provider': Input should be 'auto', 'cpu', 'cuda' or 'tensorrt'"),
        ("instances", "serve.toml is not TOML"),
        ("a = '\xff'".encode("latin-1"), "serve.toml is not TOML"),
        ("# " + "x" * 70_000, "more than the 65536 bytes"),
    ],
)
def test_a_mistake_in_it_is_one_line(tmp_path, text, message):
    (tmp_path / "serve.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message) as caught:
        serve_file.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_it_is_not_read_through_a_link(tmp_path):
    (tmp_path / "secret").write_text("instances = 2")
    (tmp_path / "serve.toml").symlink_to("secret")
    with pytest.raises(ConfigError, match="is a link"):
        serve_file.read(tmp_path)
