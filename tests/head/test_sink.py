import json
import os
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

from isthmus.contract.classification import Classification
from isthmus.contract.detection import Detection
from isthmus.errors import ConfigError, DeviceError
from isthmus.head.record import DROP_REASONS, Record
from isthmus.head.sink import Callback, open_sink


def record(sequence=0, **fields):
    return Record(**{"device": "camera", "session": "", "sequence": sequence, "name": "", "placement": "split", **fields})


def test_a_record_holds_milliseconds_and_leaves_empty_fields_out():
    full = record(
        3,
        picture=np.zeros((2, 2, 3), np.uint8),
        session="ab",
        setting="all",
        classification=Classification(index=1, label="two", confidence=0.123456),
        latency_s=0.0123456,
        stages_s={"head": 0.001},
        payload_bytes=77,
    )
    assert full.as_json() == {
        "device": "camera",
        "session": "ab",
        "sequence": 3,
        "placement": "split",
        "setting": "all",
        "label": "two",
        "index": 1,
        "confidence": 0.1235,
        "latency_ms": 12.346,
        "stages_ms": {"head": 1.0},
        "payload_bytes": 77,
    }


def test_detections_are_rounded_and_none_seen_is_an_empty_list():
    seen = Detection(index=2, label="cup", score=0.123456, box=(0.04, 1.0, 20.06, 30.0))
    assert record(detections=(seen,)).as_json()["detections"] == [
        {"label": "cup", "index": 2, "score": 0.1235, "box": [0.0, 1.0, 20.1, 30.0]}
    ]
    assert record(detections=()).as_json()["detections"] == []
    assert "detections" not in record().as_json()


def test_the_record_of_a_drop_names_its_reason():
    row = record(placement="drop", reason="deadline", detail="late").as_json()
    assert row == {"device": "camera", "sequence": 0, "placement": "drop", "reason": "deadline", "detail": "late"}
    assert set(DROP_REASONS) == {"gate", "filter", "spared", "newer", "deadline", "link", "server", "stopped", "queue"}


def test_a_confidence_that_is_no_number_stays_json():
    row = record(classification=Classification(index=0, label="0", confidence=float("nan"))).as_json()
    assert json.loads(json.dumps(row, allow_nan=False))["confidence"] is None


def test_json_lines_go_to_a_file_line_by_line_while_it_is_open(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("what was there before\n")
    sink = open_sink(f"jsonl:{path}")
    sink.write(record(1, name="a\nb \u00e9.png"))
    assert json.loads(path.read_text())["name"] == "a\nb \u00e9.png"
    sink.write(record(2))
    sink.close()
    assert [json.loads(line)["sequence"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_file_is_gone_on_with_where_a_plus_says_so(tmp_path):
    for sequence in (1, 2):
        sink = open_sink(f"jsonl:+{tmp_path / 'records.jsonl'}")
        sink.write(record(sequence))
        sink.close()
    assert [json.loads(line)["sequence"] for line in (tmp_path / "records.jsonl").read_text().splitlines()] == [1, 2]


def test_json_lines_go_to_standard_output_at_once_through_a_pipe():
    program = """
import sys
from isthmus.head.record import Record
from isthmus.head.sink import open_sink
sink = open_sink("jsonl:-")
sink.write(Record(device="camera", session="", sequence=5, name="", placement="split"))
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        # The program waits for us and cannot have flushed at its end.
        assert json.loads(process.stdout.readline())["sequence"] == 5
        process.communicate()


def test_standard_output_stays_open_after_the_sink(capsys):
    sink = open_sink("jsonl:-")
    sink.write(record(1))
    sink.close()
    print("more")
    assert capsys.readouterr().out.splitlines()[1] == "more"


def test_many_threads_do_not_tear_lines(tmp_path):
    sink = open_sink(f"jsonl:{tmp_path / 'records.jsonl'}")
    threads = [
        threading.Thread(
            target=lambda start=start: [sink.write(record(start + number, detail="x" * 500)) for number in range(50)]
        )
        for start in range(0, 200, 50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert sorted(row["sequence"] for row in rows) == list(range(200))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_full_disk_is_an_error_of_one_line():
    sink = open_sink("jsonl:/dev/full")
    with pytest.raises(DeviceError, match="No space left"):
        sink.write(record())
    sink.close()


def test_a_file_that_cannot_be_opened_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_sink(f"jsonl:{tmp_path}/missing/records.jsonl")


@pytest.mark.parametrize("reference", ["", "jsonl", "jsonl:", "csv:out.csv", "out.jsonl"])
def test_an_unknown_sink_is_a_config_error_that_says_what_there_is(reference):
    with pytest.raises(ConfigError, match="jsonl:PATH"):
        open_sink(reference)


def test_videos_and_folders_of_pictures_are_sinks(tmp_path):
    picture = np.full((48, 64, 3), 90, np.uint8)
    for sink in (open_sink(f"video:{tmp_path}/out.mp4", fps=5.0), open_sink(f"images:{tmp_path}/shown")):
        for sequence in (1, 0):
            sink.write(record(sequence, picture=picture))
        sink.close()
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == ["000000.jpg", "000001.jpg"]
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (2, 5.0)
    video.release()


def test_a_callback_gets_every_record():
    got = []
    sink = Callback(got.append)
    sink.write(record(4))
    sink.close()
    assert [one.sequence for one in got] == [4]
