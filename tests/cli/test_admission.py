import pytest
from typer.testing import CliRunner

from isthmus.cli.main import app
from isthmus.tail import server

runner = CliRunner()


@pytest.fixture
def settings_of(tiny_bundle, monkeypatch):
    """A function that gives the settings which `isthmus serve` would run with."""

    def give(*options):
        seen = []
        monkeypatch.setattr(server, "run", lambda settings, *_, **__: seen.append(settings) or 0)
        done = runner.invoke(app, ["serve", str(tiny_bundle.folder), *options])
        assert done.exit_code == 0, done.output
        return seen[0]

    return give


def test_without_options_no_client_is_limited(settings_of):
    limits = settings_of().client
    assert (limits.rate_per_s, limits.bytes_per_s, limits.streams, limits.in_flight) == (None, None, None, None)


def test_limits_of_clients_and_of_memory_come_from_options(settings_of):
    rates = ["--client-rate", "90/m", "--client-burst", "7", "--client-bytes", "2MB/s"]
    counts = ["--client-streams", "3", "--client-in-flight", "9", "--streams-max", "50"]
    settings = settings_of(*rates, *counts, "--queue-memory", "8MiB", "--session-memory", "1GB")
    limits = settings.client
    assert (limits.rate_per_s, limits.burst, limits.bytes_per_s, limits.streams, limits.in_flight) == (1.5, 7, 2e6, 3, 9)
    assert (settings.streams_max, settings.queue_bytes_max, settings.references_bytes_max) == (50, 8 << 20, 10**9)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--client-rate", "100"], 2, "--client-rate '100' is not a rate; write for example 100/s"),
        (["--client-bytes", "2MB"], 2, "--client-bytes '2MB' is not a rate in bytes; write for example 2MB/s"),
        (["--client-bytes", "2/s"], 2, "'2' is not a size"),
        (["--client-burst", "5"], 3, "a burst of 5 is allowed without a rate"),
        (["--queue-memory", "1MB"], 3, "less than one picture"),
    ],
)
def test_what_is_no_limit_is_told_in_one_line(tiny_bundle, options, code, told):
    done = runner.invoke(app, ["serve", str(tiny_bundle.folder), *options])
    assert done.exit_code == code
    assert told in " ".join(done.stderr.split())
