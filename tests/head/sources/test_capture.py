"""Streams by address and pipelines; files and cameras are in test_source."""

import os
import socket

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from isthmus.errors import SourceError
from isthmus.head.source import open_source
from isthmus.head.sources.capture import AddressSource, GStreamerSource


def test_an_rtsp_camera_gives_its_pictures(rtsp_camera):
    with AddressSource(f"rtsp://127.0.0.1:{rtsp_camera(frames=6).port}/live") as source:
        frames = [source.read() for _ in range(5)]
        assert source.live
    assert [round(frame.image.mean() / 20) for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[0].image.shape == (48, 64, 3)


def test_an_rtsp_camera_that_comes_back_goes_on_with_the_numbers(rtsp_camera):
    camera = rtsp_camera(frames=4)
    with capture_logs() as logs, open_source(f"rtsp://127.0.0.1:{camera.port}/live") as source:
        frames = [source.read() for _ in range(7)]
    assert [frame.sequence for frame in frames] == list(range(7))
    assert [entry["event"] for entry in logs if entry["event"].startswith("source")] == ["source lost", "source back"]


def test_a_camera_that_nobody_answers_for_is_named_without_its_password():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"rtsp://admin:secret@127.0.0.1:{held.getsockname()[1]}/live"
        with pytest.raises(SourceError, match=r"rtsp://\*\*\*@127.0.0.1") as caught:
            open_source(address)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_silent_camera_is_given_up(camera):
    silent = camera(lambda _connection, reader: reader.read())
    with pytest.raises(SourceError, match="cannot be opened"):
        AddressSource(f"rtsp://127.0.0.1:{silent.port}/live", timeout_s=0.2)


def test_a_video_that_a_process_serves_over_tcp_is_read(camera, tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 8.0, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    served = camera(lambda connection, _reader: connection.sendall(path.read_bytes()))
    with AddressSource(f"tcp://127.0.0.1:{served.port}") as source:
        assert round(source.read().image.mean() / 20) == 0


@pytest.mark.skipif(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="OpenCV here has GStreamer")
def test_gstreamer_is_missing_in_one_line():
    with pytest.raises(SourceError, match=r"needs OpenCV with GStreamer.*cmd:'gst-launch") as caught:
        open_source("gst:videotestsrc")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="OpenCV here lacks GStreamer")
def test_a_gstreamer_pipeline_gives_frames():
    with GStreamerSource("videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48") as source:
        assert source.read().image.shape == (48, 64, 3)


def test_a_lasting_name_that_leads_nowhere_is_told():
    name = "/dev/v4l/by-id/usb-none-video-index0"
    assert not os.path.exists(name)
    with pytest.raises(SourceError, match="leads to no camera"):
        open_source(name)
