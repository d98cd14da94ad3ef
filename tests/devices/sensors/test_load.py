import os

import pytest

from isthmus.devices.sensors.load import Load, look, others_share

TICKS = os.sysconf("SC_CLK_TCK")


def process(pid, parent, ticks, name="a) b"):
    return {f"proc/{pid}/stat": f"{pid} ({name}) S {parent} " + "0 " * 9 + f"{ticks} 0 0 0 20 0"}


def machine(tree, *, user, idle, steal=0, own=0):
    files = {"proc/stat": f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1", "proc/loadavg": "0.50 0.1 0.2 1/100 7"}
    return tree(files | process(10, 1, own) | process(11, 10, own) | process(12, 1, 999))


def test_own_time_is_that_of_the_process_and_what_it_started(tree):
    found = look(machine(tree, user=700, idle=300, steal=20, own=50), pid=10)
    assert found == Load(total_s=1020 / TICKS, busy_s=700 / TICKS, stolen_s=20 / TICKS, own_s=100 / TICKS, average=0.5)


@pytest.mark.parametrize(
    ("user", "idle", "steal", "own", "share"),
    [(100, 0, 0, 50, 0.0), (50, 50, 0, 0, 0.5), (50, 30, 20, 25, 0.2), (0, 100, 0, 50, 0.0)],
)
def test_others_are_what_is_not_own_and_what_was_stolen(tree, user, idle, steal, own, share):
    before = look(machine(tree, user=1000, idle=1000), pid=10)
    after = look(machine(tree, user=1000 + user, idle=1000 + idle, steal=steal, own=own), pid=10)
    assert others_share(before, after) == pytest.approx(share)


def test_processes_that_end_while_they_are_read_do_not_count(tree):
    root = machine(tree, user=1, idle=1, own=5)
    (root / "proc/11/stat").unlink()
    (root / "proc/13").mkdir()
    tree({"proc/14/stat": "garbage"})
    assert look(root, pid=10).own_s == 5 / TICKS


@pytest.mark.parametrize("text", ["", "cpu a b", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2"])
def test_a_machine_that_does_not_tell_has_no_load(tree, text):
    assert look(tree({"proc/stat": text})) is None


def test_this_process_uses_some_of_this_machine():
    found = look()
    assert 0 < found.own_s <= found.total_s
