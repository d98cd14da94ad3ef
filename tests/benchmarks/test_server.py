"""The server's benchmark on servers that start in a moment: what it counts and says, and that it leaves nothing out silently."""

import asyncio
import contextlib
import socket
import subprocess
import sys

import numpy as np
import pytest

BURN = """
import signal, subprocess, sys, time
if len(sys.argv) < 2:
    subprocess.Popen([sys.executable, __file__, "child"])
    signal.pause()
while time.process_time() < 0.3:
    pass
print("burnt", flush=True)
signal.pause()
"""


def figures(package, *, rate=100.0, cpu_us=500.0, seconds=1.0):
    requests = round(rate * seconds)
    of = package("benchmarks.server.figures").Figures
    return of(seconds=seconds, latencies_s=np.full(requests, 1 / rate), server_cpu_s=cpu_us * requests / 1e6)


def found(package, **rounds):
    throughput = package("benchmarks.server.throughput")
    names = {"isthmus": "Isthmus", "bare": throughput.BARE, "mlserver": "MLServer"}
    return throughput.Throughput(rounds={(names[name], 32): measured for name, measured in rounds.items()})


def rows_of(package, isthmus_cpu_us=600.0):
    summary = package("benchmarks.server.summary")
    measured = found(
        package,
        isthmus=[figures(package, rate=300.0, cpu_us=isthmus_cpu_us)],
        bare=[figures(package)],
        mlserver=[figures(package)],
    )
    measured.failures["Ray Serve"] = "ended with 1: no | room"
    return summary.load_rows(measured)


@pytest.mark.parametrize(("cpu_us", "met"), [(600.0, True), (700.0, False)])
def test_cpu_is_judged_against_the_bare_loop_of_the_same_round(package, cpu_us, met):
    (cpu, *_) = package("benchmarks.server.summary").targets(rows_of(package, cpu_us))
    assert (cpu["measured"], cpu["met"]) == (cpu_us / 500, met)


def test_a_target_against_a_peer_that_failed_is_not_measured(package):
    met = {row["what"]: row["met"] for row in package("benchmarks.server.summary").targets(rows_of(package))}
    assert met["requests per second of MLServer's, 32 in flight"] is True
    assert met["requests per second of Ray Serve's, 32 in flight"] is None


def test_a_peer_measured_in_two_ways_is_judged_by_its_better_one(package):
    rows = rows_of(package)
    rows.append({**next(row for row in rows if row["server"] == "MLServer"), "server": "MLServer, batches", "rate": 200.0})
    measured = {row["what"]: row["measured"] for row in package("benchmarks.server.summary").targets(rows)}
    assert measured["requests per second of MLServer's, 32 in flight"] == 1.5


def test_added_latency_is_without_the_networks_time_and_over_the_echo(package):
    latency = package("benchmarks.server.latency")
    pings = {(latency.TCP, 1000): [latency.Ping(10e-6)], (latency.PLAIN, 1000): [latency.Ping(200e-6, 5e-6, 50e-6)]}
    rows = package("benchmarks.server.summary").latency_rows(latency.Latency(pings=pings))
    assert [row["added_us"] for row in rows] == [0.0, 140.0]


def test_the_page_tells_targets_figures_and_failures(package, tmp_path):
    summary, page = package("benchmarks.server.summary"), package("benchmarks.server.page")
    rows = rows_of(package)
    meta = {"command": "c", "date": "d", "machine": "m", "versions": {}, "tail": "t", "served": {}, "rounds": 1, "seconds": 1.0}
    text = page.write(tmp_path, meta, [*rows, *summary.targets(rows)]).read_text()
    assert "| CPU per request of the bare loop's, 8 in flight and more | &lt;= 1.35 | 1.2 | yes |" in text
    assert "| 32 | Isthmus | 300 |" in text
    assert "| Ray Serve | ended with 1: no \\| room |" in text
    assert (tmp_path / page.RATE_PLOT).read_text().count("<rect") == 4


def test_the_number_of_layers_is_the_one_nearest_in_time(package):
    nearest = package("benchmarks.server.material").nearest
    assert [nearest(lambda count: count * 0.3, wanted, 4) for wanted in (0.1, 0.44, 0.46, 9.0)] == [1, 1, 2, 4]


def test_cpu_time_is_that_of_the_whole_tree(package, tmp_path):
    process = package("benchmarks.server.process")
    program = tmp_path / "burn.py"
    program.write_text(BURN)
    server = process.ServerProcess([sys.executable, str(program)], folder=tmp_path, environment={}, log=tmp_path / "log")
    with server:
        clock = process.CpuClock(server.pid)
        while "burnt" not in server.log.read_text():
            assert server.ended is None
        assert clock.spent_s() >= 0.25
        family = process.tree(server.pid)
        assert len(family) == 2
    assert [member for member in family if member.is_running()] == []


def test_frozen_processes_take_nothing_and_go_on_afterwards(package):
    process = package("benchmarks.server.process")
    with subprocess.Popen(["sleep", "60"]) as child:
        with process.frozen([child.pid]):
            while process.tree(child.pid)[0].status() != "stopped":  # the signal takes its way
                pass
        assert process.tree(child.pid)[0].status() != "stopped"
        child.kill()


def test_ports_are_free_and_in_a_row(package):
    ports = package("benchmarks.server.process").free_ports(3)
    assert [port - ports[0] for port in ports] == [0, 1, 2]
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))


def test_servers_are_measured_in_turns_and_one_that_ends_is_told(package, tmp_path):
    contenders, throughput = package("benchmarks.server.contenders"), package("benchmarks.server.throughput")
    process, peers = package("benchmarks.server.process"), package("benchmarks.server.peers")

    @contextlib.contextmanager
    def dying(material, work):
        command = [sys.executable, "-c", "print('no room'); raise SystemExit(3)"]
        with process.ServerProcess(command, folder=work, environment={}, log=work / "log") as server:
            client = peers._bytes_value("127.0.0.1:1", 1, material)
            yield contenders.Running(name="dying", pid=server.pid, client=lambda _: client, process=server)

    async def measured():
        echo = package("benchmarks.server.material").make_echo(tmp_path / "echo", 1000)
        starts = {"Isthmus": contenders.isthmus_server, "dying": dying}
        servers = [throughput.Contender(name=name, told="", start=start) for name, start in starts.items()]
        plan = throughput.Plan(rounds=2, seconds=0.05, in_flight=(1, 4))
        return await throughput.measure(servers, echo, tmp_path, plan, lambda _: None)

    result = asyncio.run(measured())
    assert result.failures == {"dying": "ended with 3: no room"}
    assert {key: len(rounds) for key, rounds in result.rounds.items()} == {
        (name, count): 2 for name in ("bare onnxruntime", "Isthmus") for count in (1, 4)
    }
    assert min(one.requests for one in result.rounds["Isthmus", 4]) >= 4


def test_every_subject_of_the_latencies_is_measured_or_told(package, tmp_path):
    latency = package("benchmarks.server.latency")
    result = asyncio.run(latency.measure(tmp_path, lambda _: None, sizes=(1000,), rounds=1, pings=2))
    subjects = {latency.TCP, latency.TCP_TLS, latency.PLAIN, latency.TLS, latency.DEVICE}
    assert {subject for subject, _ in result.pings} | set(result.failures) == subjects
    assert all(len(pings) == 2 for pings in result.pings.values())


def test_a_flood_is_refused_beside_a_polite_client(package, tmp_path):
    material = package("benchmarks.server.material").make_echo(tmp_path / "echo", 1000)
    flood, summary = package("benchmarks.server.flood"), package("benchmarks.server.summary")
    result = asyncio.run(flood.measure(material, tmp_path, lambda _: None, rounds=1, seconds=0.5))
    row = summary.flood_row(result)
    assert row["alone"]["captures"] == row["beside"]["captures"] == 10
    assert row["refused_per_s"] > 0
    assert row["failed"] == 0
    assert summary.targets([row])[-1]["measured"] == row["p95_ratio"]


def test_every_peer_pins_all_that_it_installs(package):
    peers = package("benchmarks.server.peers")
    for peer in peers.ALL:
        lines = (peers.PEERS / peer.folder / "requirements.txt").read_text().splitlines()
        assert [line for line in lines if "==" not in line] == []
        assert peer.version


def test_an_answer_that_differs_from_the_bare_loops_is_refused(package):
    contenders = package("benchmarks.server.contenders")
    contenders._compare(np.ones(2), np.ones(2) + 1e-6)
    with pytest.raises(contenders.PeerUnavailable, match="answers"):
        contenders._compare(np.ones(2), np.zeros(2))
