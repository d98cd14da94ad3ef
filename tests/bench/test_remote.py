"""`isthmus bench --on`, over a real sshd on loopback."""

import io
import json
import tarfile

import pytest
from tests.ssh_server import SSHD, THIS_ISTHMUS, SshServer
from typer.testing import CliRunner

from isthmus.bench import remote
from isthmus.cli.main import app
from isthmus.errors import DeviceError, UsageError

runner = CliRunner()


@pytest.fixture
def connect(tmp_path):
    """A function that starts an sshd whose commands find these programs, and gives what `ssh` is for it."""
    if SSHD is None:
        pytest.skip("no sshd on this machine")
    servers = []

    def start(**commands):
        folder = tmp_path / f"ssh{len(servers)}"
        folder.mkdir()
        servers.append(SshServer(folder, commands))
        servers[-1].__enter__()
        return servers[-1].command

    yield start
    for server in servers:
        server.__exit__()


def bench_on(host, ssh, bundle, source, output, *more):
    arguments = [str(bundle.folder), "-o", str(output), "--source", str(source), "--on", host, "--ssh", ssh, *more]
    return runner.invoke(app, ["bench", *arguments])


@pytest.mark.slow
def test_results_of_another_device_come_home(connect, tiny_bundle, pictures, tmp_path):
    options = ["--placements", "local,split", "--links", "unlimited", "--no-gate", "--json"]
    done = bench_on("device", connect(isthmus=THIS_ISTHMUS), tiny_bundle, pictures, tmp_path / "out", *options)
    assert done.exit_code == 0, done.stderr
    home = tmp_path / "out/device"
    assert sorted(file.name for file in home.iterdir()) == ["report.html", "results.csv", "results.json", "samples.csv"]
    told = json.loads((home / "results.json").read_text())
    assert [(row["placement"], row["answered"]) for row in told["rows"]] == [("local", 5), ("split", 5), ("split", 5)]
    assert {row["host"] for row in json.loads(done.stdout)["rows"]} == {"device"}
    folder = told["meta"]["command"].split("--source")[0]
    assert str(tiny_bundle.folder) not in folder


@pytest.mark.slow
def test_a_device_without_isthmus_is_told_what_to_install_and_nothing_stays_there(connect, tiny_bundle, pictures, tmp_path):
    done = bench_on("device", connect(), tiny_bundle, pictures, tmp_path / "out")
    assert (done.exit_code, "pip install 'isthmus[head,tail,bench]'" in done.stderr) == (1, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_goes_wrong_there_is_its_last_line_here(connect, tiny_bundle, pictures, tmp_path):
    ssh = connect(isthmus=THIS_ISTHMUS)
    done = bench_on("device", ssh, tiny_bundle, pictures, tmp_path / "out", "--links", "fast")
    assert done.exit_code == 1
    assert "device: isthmus bench failed with exit code 2" in done.stderr
    assert "'fast'" in done.stderr


def test_a_host_that_nobody_is_at_is_told(tiny_bundle, pictures, tmp_path):
    done = bench_on("nobody@127.0.0.1", "ssh -p 1", tiny_bundle, pictures, tmp_path / "out")
    assert (done.exit_code, "nobody@127.0.0.1 cannot be reached over ssh" in done.stderr) == (1, True)


@pytest.mark.parametrize("text", ["", " , ", "-oProxyCommand=x", "pi@a,pi@a", "pi@a b", "pi@"])
def test_what_is_no_host_never_reaches_ssh(text):
    with pytest.raises(UsageError, match="--on"):
        remote.parse_hosts(text)


def archive(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("./results/report.html")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return packed.getvalue()


def test_of_an_archive_only_known_files_are_written(tmp_path):
    files = {
        "./results/results.json": b"{}",
        "../evil": b"x",
        "/etc/evil": b"x",
        "./results/more.sh": b"x",
        "./bundle/a.costs.json": b"1",
    }
    remote._unpack(archive(**files), tmp_path / "home", "device")
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.costs.json", "home", "results.json"]


@pytest.mark.parametrize("packed", [b"", b"no archive", archive()])
def test_what_holds_no_results_is_an_error_of_ours(tmp_path, packed):
    with pytest.raises(DeviceError, match="device"):
        remote._unpack(packed, tmp_path, "device")
