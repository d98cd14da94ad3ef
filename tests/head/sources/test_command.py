import os
import shlex
import signal
import sys
import threading
import time

import numpy as np
import pytest

from isthmus.errors import ConfigError, SourceError
from isthmus.head.source import open_source
from isthmus.head.sources.command import CommandSource
from isthmus.head.sources.form import Form

GREY = Form(pixels="gray", size=(8, 4))
MJPEG = Form()
HANG = "import time; time.sleep(1000)"


def python(program):
    return shlex.join([sys.executable, "-c", program])


def grey_frames(count, then=""):
    return python(
        f"import sys\nfor k in range({count}): sys.stdout.buffer.write(bytes([20 * k]) * 32)\nsys.stdout.flush()\n{then}"
    )


def test_raw_frames_come_in_order_until_the_process_ends():
    with CommandSource(grey_frames(5), GREY) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 20, 40, 60, 80]
    assert [frame.sequence for frame in frames] == list(range(5))
    assert frames[0].image.shape == (4, 8, 3)


def test_motion_jpeg_needs_no_size(tmp_path, make_jpeg):
    (tmp_path / "stream.mjpeg").write_bytes(b"".join(make_jpeg(20 * number) for number in range(4)))
    with open_source(f"cmd:cat {tmp_path / 'stream.mjpeg'}") as source:
        assert [round(frame.image.mean() / 20) for frame in source] == [0, 1, 2, 3]


def test_a_damaged_jpeg_is_counted_and_skipped(tmp_path, make_jpeg):
    good = make_jpeg(80)
    # A whole walk of markers, but no frame header.
    (tmp_path / "stream.mjpeg").write_bytes(good + b"\xff\xd8\xff\xda\0\2\1\2\xff\xd9" + good)
    with open_source(f"cmd:cat {tmp_path / 'stream.mjpeg'}") as source:
        assert len(list(source)) == 2
        assert source.unreadable == 1


def test_a_process_that_fails_is_named_with_its_last_words():
    program = "import sys; sys.exit('no cameras available')"
    with CommandSource(python(program), GREY) as source, pytest.raises(SourceError, match="status 1 after 0 frames: no cameras"):
        source.read()


def test_a_process_that_ends_within_a_frame_has_another_format():
    with CommandSource(python("print('x' * 20)"), GREY) as source, pytest.raises(SourceError, match="ended within a frame"):
        source.read()


def test_a_process_that_gives_nothing_is_given_up():
    with CommandSource(python(HANG), GREY, stall_s=0.05) as source, pytest.raises(SourceError, match=r"gave nothing for 0\.05 s"):
        source.read()


def test_a_read_that_waits_is_interrupted():
    with CommandSource(grey_frames(1, HANG), GREY) as source:
        assert source.read() is not None
        timer = threading.Timer(0.05, source.interrupt)
        timer.start()
        assert source.read() is None
        timer.join()


def test_closing_ends_what_the_process_started_too():
    program = "import subprocess, sys, os; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
    program += "os.write(1, c.pid.to_bytes(32, 'little')); c.wait()"
    with CommandSource(python(program), GREY) as source:
        child = int(source.read().image[..., 0].reshape(-1)[:4].astype(np.uint8).view("<u4")[0])
        assert os.kill(child, 0) is None
    deadline = time.monotonic() + 30
    while not is_gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(process):
    """Nobody waits for an orphan here but init: gone, or a zombie."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_process_that_ignores_the_request_is_killed():
    program = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    program += "sys.stdout.buffer.write(bytes(32)); sys.stdout.flush(); time.sleep(1000)"
    source = CommandSource(python(program), GREY)
    source.read()
    source.close()
    assert source._process.returncode == -signal.SIGKILL


def test_a_camera_program_that_crashes_is_started_again(tmp_path):
    counter = tmp_path / "starts"
    program = f"import sys; n = open({str(counter)!r}, 'a+'); n.write('x'); n.flush(); n.seek(0); starts = len(n.read())\n"
    program += "sys.stdout.buffer.write(bytes([starts]) * 64); sys.stdout.flush(); sys.exit(0 if starts == 3 else 1)"
    with open_source(f"cmd:{python(program)}", form=GREY) as source:
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 1, 2, 2, 3, 3]
    assert [frame.sequence for frame in frames] == list(range(6))


@pytest.mark.parametrize(
    ("command", "message"),
    [("", "names no program"), ("cat 'x", "quote it"), ("no-such-program --x", "cannot be started: No such")],
)
def test_what_cannot_be_started_is_a_source_error(command, message):
    with pytest.raises(SourceError, match=message):
        open_source(f"cmd:{command}")


def test_raw_pixels_without_a_size_start_nothing():
    with pytest.raises(ConfigError, match="--frame-size"):
        open_source("cmd:no-such-program", form=Form(pixels="bgr24"))
