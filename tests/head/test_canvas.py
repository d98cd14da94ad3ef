import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from isthmus.errors import ConfigError, DeviceError
from isthmus.head import canvas
from isthmus.head.canvas import PictureFolder, VideoFile
from isthmus.head.record import Record


def record(sequence=0, name=""):
    return Record(device="d", session="", sequence=sequence, name=name, placement="split")


def grey(level, height=48, width=64):
    return np.full((height, width, 3), level, np.uint8)


def write(path, pictures, fps=7.0):
    video = VideoFile(str(path), fps)
    for picture in pictures:
        video.put(picture, record())
    video.close()
    return read(path)


def read(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (found := capture.read())[0]:
        frames.append(found[1])
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, rate


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi", ".MP4"])
@pytest.mark.parametrize("size", [(48, 64), (49, 65), (9, 13)])
def test_what_was_put_is_in_the_video(tmp_path, ending, size):
    frames, rate = write(tmp_path / f"out{ending}", [grey(level, *size) for level in (20, 120, 220)])
    assert [frame.shape[:2] for frame in frames] == [tuple(side + side % 2 for side in size)] * 3
    assert rate == pytest.approx(7.0, abs=0.01)
    assert [int(frame[: size[0], : size[1]].mean()) for frame in frames] == pytest.approx([20, 120, 220], abs=12)


def test_pictures_of_another_size_are_fitted_with_black_bars(tmp_path):
    frames, _ = write(tmp_path / "out.mp4", [grey(200), grey(200, 300, 100)])
    assert frames[1].shape == (48, 64, 3)
    assert frames[1][:, :20].mean() < 20
    assert frames[1][10:40, 28:36].mean() == pytest.approx(200, abs=12)


def test_a_source_without_a_clock_gets_ten_frames_a_second(tmp_path):
    assert write(tmp_path / "out.mp4", [grey(5)] * 3, fps=None)[1] == pytest.approx(10)


def test_no_frames_leave_what_was_there(tmp_path):
    (tmp_path / "old.mp4").write_bytes(b"of yesterday")
    for name in ("new.mp4", "old.mp4"):
        VideoFile(str(tmp_path / name), 10).close()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"of yesterday"]


def test_a_video_that_was_there_is_replaced(tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"of yesterday" * 10_000)
    assert len(write(tmp_path / "out.mp4", [grey(5)] * 2)[0]) == 2


@pytest.mark.parametrize("name", ["out.gif", "out", "folder/"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"write \.mp4, \.mkv, \.avi"):
        VideoFile(f"{tmp_path}/{name}", 10)


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="No such file or directory"):
        VideoFile(str(tmp_path / "missing" / "out.mp4"), 10)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="sink images:"):
        PictureFolder(str(tmp_path / "file"))


def test_a_disk_that_gets_full_is_noticed(tmp_path, monkeypatch):
    video = VideoFile(str(tmp_path / "out.mp4"), 2)
    video.put(grey(1), record())
    monkeypatch.setattr(canvas.shutil, "disk_usage", lambda _path: SimpleNamespace(free=1000))
    video.put(grey(1), record())
    with pytest.raises(DeviceError, match="the disk is full"):
        video.put(grey(1), record())
    video.close()


_TOO_LONG = """
import resource, sys
import numpy as np
from isthmus.errors import DeviceError
from isthmus.head.canvas import PictureFolder, VideoFile
from isthmus.head.record import Record
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
random = np.random.default_rng(0)
record = Record(device="d", session="", sequence=0, name="", placement="split")
target = VideoFile(sys.argv[1], 10) if sys.argv[1].endswith(".mp4") else PictureFolder(sys.argv[1])
try:
    for _ in range(20):
        target.put(random.integers(0, 256, (480, 640, 3), np.uint8), record)
    target.close()
except DeviceError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["out.mp4", "pictures"])
def test_what_did_not_arrive_is_told(tmp_path, name):
    # A limit on the size of files makes writes fail as a full disk does.
    command = [sys.executable, "-c", _TOO_LONG, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert f"{tmp_path / name}" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_pictures_are_named_by_number_and_by_what_they_were_called(tmp_path):
    folder = PictureFolder(str(tmp_path / "deeper" / "shown"))
    folder.put(grey(100), record(3, "gate 7/a.b.png"))
    folder.put(grey(100), record(12))
    folder.close()
    assert sorted(path.name for path in (tmp_path / "deeper" / "shown").iterdir()) == ["000003-a.b.jpg", "000012.jpg"]
    assert cv2.imread(str(tmp_path / "deeper" / "shown" / "000012.jpg")).mean() == pytest.approx(100, abs=1)
