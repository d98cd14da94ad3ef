import threading

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from isthmus.errors import ConfigError, SourceError
from isthmus.head.belt import Belt
from isthmus.head.source import open_source
from isthmus.head.sources.paced import Paced


class Clock:
    """Time that moves when someone sleeps or when the test says so."""

    def __init__(self):
        self.now_s = 100.0
        self.slept_s = []

    def __call__(self):
        return self.now_s

    def sleep(self, duration_s):
        self.slept_s.append(round(duration_s, 6))
        self.now_s += duration_s


@pytest.fixture
def folder(tmp_path):
    """Three pictures whose grey level is the number in their name, a note, and a hidden trap for sorting."""
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), np.full((8, 12, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def video(tmp_path):
    """Twelve frames at 8 frames per second; frame k has the grey level 20 k."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 8.0, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture
def belt():
    sprites = np.random.default_rng(0).integers(0, 17, (10, 8, 8), dtype=np.uint8)
    return Belt(sprites, np.arange(10, dtype=np.uint8), seed=1, frames=150)


def test_a_folder_gives_its_pictures_in_natural_order(folder):
    with open_source(str(folder)) as source:
        frames = list(source)
        assert source.length == 3
        assert str(folder) in source.description
    assert [frame.name for frame in frames] == ["frame1.png", "frame2.png", "frame10.png"]
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
    assert not any(frame.truth_known for frame in frames)


def test_capitals_in_suffixes_and_mixed_names_are_fine(folder):
    for name in ("A.JPG", "2b.webp", "10.bmp", "b7x.Jpeg"):
        data = cv2.imencode(name[name.index(".") :].lower(), np.zeros((4, 4, 3), np.uint8))[1]
        (folder / name).write_bytes(data.tobytes())
    names = [frame.name for frame in open_source(str(folder))]
    assert names == ["2b.webp", "10.bmp", "A.JPG", "b7x.Jpeg", "frame1.png", "frame2.png", "frame10.png"]


def test_a_broken_picture_is_logged_counted_and_skipped(folder):
    (folder / "frame3.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    with capture_logs() as logs, open_source(str(folder)) as source:
        frames = list(source)
        assert source.unreadable == 1
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    assert [(entry["log_level"], entry["name"]) for entry in logs] == [("warning", "frame3.jpg")]


def test_the_pictures_of_class_folders_are_named_by_their_folder(folder):
    for name in ("class10/b1.png", "class2/deep/c.png", ".trash/d.png"):
        (folder / name).parent.mkdir(parents=True)
        cv2.imwrite(str(folder / name), np.zeros((4, 4, 3), np.uint8))
    names = [frame.name for frame in open_source(str(folder))]
    assert names == ["class2/deep/c.png", "class10/b1.png", "frame1.png", "frame2.png", "frame10.png"]


def test_a_folder_without_pictures_is_a_source_error(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(SourceError, match="holds no picture"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("loop", [False, True])
def test_a_folder_in_which_nothing_can_be_read_is_a_source_error(tmp_path, loop):
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"broken")
    with open_source(str(tmp_path), loop=loop) as source, pytest.raises(SourceError, match="nothing can be read"):
        source.read()


def test_one_picture_is_a_source_of_length_one(folder):
    with open_source(str(folder / "frame2.png")) as source:
        assert source.length == 1
        assert [frame.name for frame in source] == ["frame2.png"]


def test_a_loop_starts_over_and_goes_on_counting(folder):
    with open_source(str(folder), loop=True) as source:
        assert source.length is None
        frames = [source.read() for _ in range(7)]
    assert [frame.name for frame in frames][3:] == ["frame1.png", "frame2.png", "frame10.png", "frame1.png"]
    assert [frame.sequence for frame in frames] == list(range(7))


def test_a_video_gives_its_frames_in_order(video):
    with open_source(str(video)) as source:
        assert (source.fps, source.length) == (8.0, 12)
        frames = list(source)
    assert [frame.sequence for frame in frames] == list(range(12))
    assert [round(frame.image.mean() / 20) for frame in frames] == list(range(12))
    assert frames[0].image.shape == (48, 64, 3)


def test_a_video_loops(video):
    with open_source(str(video), loop=True) as source:
        levels = [round(source.read().image.mean() / 20) for _ in range(14)]
    assert levels == [*range(12), 0, 1]


def test_a_file_that_is_no_video_is_a_source_error(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(SourceError, match=r"clip\.mp4 cannot be opened"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize("loop", [False, True])
def test_a_video_without_frames_is_a_source_error(tmp_path, loop):
    path = tmp_path / "empty.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 8.0, (64, 48)).release()
    with open_source(str(path), loop=loop) as source, pytest.raises(SourceError, match="holds no frame"):
        source.read()


def test_a_belt_gives_the_truth_but_not_at_the_edges(belt, tmp_path):
    belt.save(tmp_path / "demo.npz")
    with open_source(f"belt:{tmp_path / 'demo.npz'}") as source:
        assert source.length == 150
        frames = list(source)
    assert [frame.label for frame in frames] == [belt.label(index) for index in range(150)]
    shares = belt.visible_shares
    assert [frame.truth_known for frame in frames] == [bool(share == 0 or share >= 0.6) for share in shares]
    assert any(frame.label is not None for frame in frames)
    assert not all(frame.truth_known for frame in frames)


def test_a_belt_loops(belt, tmp_path):
    belt.save(tmp_path / "demo.npz")
    with open_source(f"belt:{tmp_path / 'demo.npz'}", loop=True) as source:
        frames = [source.read() for _ in range(152)]
    assert np.array_equal(frames[151].image, frames[1].image)
    assert frames[151].sequence == 151


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("", "does not exist"),
        ("nowhere/at/all", "does not exist"),
        ("ftp://host/clip.mp4", "unknown kind 'ftp'"),
        ("camera:front", "unknown kind 'camera'"),
        ("belt:nowhere.npz", "does not exist"),
        ("camera:97", "camera 97 cannot be opened"),
        ("/dev/video97", "camera 97 cannot be opened"),
    ],
)
def test_what_is_not_there_is_a_source_error_of_one_line(reference, message):
    with pytest.raises(SourceError, match=message) as caught:
        open_source(reference)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("reference", "live"), [("folder", False), ("paced", True), ("cmd", True)])
def test_only_what_comes_at_the_pace_of_the_world_is_live(folder, reference, live):
    made = {
        "folder": lambda: open_source(str(folder)),
        "paced": lambda: open_source(str(folder), fps=9.0),
        "cmd": lambda: open_source("cmd:cat"),
    }
    with made[reference]() as source:
        assert source.live is live


def test_paced_frames_come_when_they_are_due(folder):
    clock = Clock()
    with Paced(open_source(str(folder)), 4.0, clock=clock, sleep=clock.sleep) as source:
        assert (source.fps, source.length) == (4.0, 3)
        assert [frame.captured_s for frame in source] == [100.0, 100.25, 100.5]
    assert clock.slept_s == [0.25, 0.25]


def test_a_late_reader_gets_frames_at_once_with_the_time_they_were_due(folder):
    clock = Clock()
    source = Paced(open_source(str(folder)), 4.0, clock=clock, sleep=clock.sleep)
    source.read()
    clock.now_s += 0.4
    assert source.read().captured_s == 100.25
    assert clock.slept_s == []
    assert source.read().captured_s == 100.5
    assert clock.slept_s == [0.1]


def test_paced_frames_keep_what_the_source_knew_of_them(folder):
    (folder / "frame0.jpg").write_bytes(b"broken")
    clock = Clock()
    source = Paced(open_source(str(folder)), 4.0, clock=clock, sleep=clock.sleep)
    frame = source.read()
    assert (frame.sequence, frame.name, source.unreadable) == (0, "frame1.png", 1)


def test_a_wait_for_the_next_frame_is_interrupted(folder):
    source = Paced(open_source(str(folder)), 0.001)
    source.read()
    timer = threading.Timer(0.05, source.interrupt)
    timer.start()
    assert source.read() is None
    timer.join()


def test_a_pace_given_to_open_source_paces(folder):
    with open_source(str(folder), fps=1000.0) as source:
        times_s = [frame.captured_s for frame in source]
    assert source.fps == 1000.0
    assert np.allclose(np.diff(times_s), 0.001)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_that_is_no_positive_number_is_a_config_error(folder, fps):
    with pytest.raises(ConfigError, match="frame rate"):
        open_source(str(folder), fps=fps)
