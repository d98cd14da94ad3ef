import pytest

from isthmus.devices.sensors import vcgencmd
from isthmus.errors import DeviceError


def test_it_is_asked_and_its_bytes_may_be_anything(vcgencmd):
    root = vcgencmd({"get_throttled": r"throttled=0x0\0377\n"})
    assert ask(root) == "throttled=0x0\ufffd\n"


def ask(root):
    return vcgencmd.ask("get_throttled", root=root)


def test_a_machine_without_it_says_where_it_comes_from(tmp_path):
    assert not vcgencmd.is_there(tmp_path)
    with pytest.raises(DeviceError, match="comes with Raspberry Pi OS"):
        ask(tmp_path)


def test_a_failure_carries_its_words_and_what_to_do(vcgencmd):
    with pytest.raises(DeviceError, match="failed with 255: VCHI initialization failed; add the user to the group video"):
        ask(vcgencmd({"get_throttled": "VCHI initialization failed"}, exit_code=255))


def test_one_that_hangs_is_given_up(tree, monkeypatch):
    root = tree({"usr/bin/vcgencmd": "#!/bin/sh\nexec sleep 60"})
    (root / "usr/bin/vcgencmd").chmod(0o755)
    monkeypatch.setattr(vcgencmd, "_TIMEOUT_S", 0.1)
    with pytest.raises(DeviceError, match=r"no answer in 0\.1 s"):
        ask(root)
