"""The controller in the live agent, over real sockets."""

import json
import threading

import cv2
import numpy as np
import pytest
import structlog

from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import ConfigError
from isthmus.head.control import menu
from isthmus.head.opening import open_agent
from isthmus.head.settings import AgentSettings
from isthmus.head.sink import Callback

pytestmark = [pytest.mark.usefixtures("no_threads_left"), pytest.mark.timeout(120)]
ACCURACY = {"local": 0.5, "half": 0.6, "all": 0.7, "jpeg": 0.9}
AGES_S = 60.0
"""A deadline that nothing misses on a busy machine."""


@pytest.fixture(scope="module")
def bundle(make_tiny_bundle):
    """Offers the device, two points and pictures, of which the larger is always the better."""
    made = make_tiny_bundle(local=True)
    rows = [{"point": point, "bytes_mean": 40.0, "metric": {"value": ACCURACY[point]}} for point in ("all", "half")]
    rows.append({"rival": "local", "setting": "local.onnx", "metric": {"value": ACCURACY["local"]}, "device_ms": 1.0})
    rows.append({"rival": "jpeg", "setting": "q75", "bytes_mean": 1500.0, "metric": {"value": ACCURACY["jpeg"]}})
    (made.folder / menu.FILE).write_text(json.dumps({"rows": rows}))
    return made


@pytest.fixture
def photos(tmp_path):
    """A function that makes a folder of pictures of noise."""

    def make(count):
        for index in range(count):
            image = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / f"{index:04d}.png"), image)
        return str(tmp_path)

    return make


def run(bundle, source, address, *, on_record=lambda _record: None, **options):
    """Run the agent to the end of the source; its records by sequence, and what the log says of placements."""
    records = []
    settings = AgentSettings(source=source, tails=(address,), placement="auto", gate=False, device_id="camera", **options)
    with (
        structlog.testing.capture_logs() as logs,
        open_agent(bundle, settings, [Callback(records.append), Callback(on_record)]) as agent,
    ):
        summary = agent.run()
    assert summary.frames == len(records) == summary.answered + sum(summary.dropped.values())
    return sorted(records, key=lambda record: record.sequence), [line for line in logs if line["event"] == "placement"]


def test_over_a_good_link_the_best_choice_is_taken_and_explained_once(bundle, serve, photos):
    records, lines = run(bundle, photos(10), serve(bundle).address, deadline_s=AGES_S)
    assert {(record.placement, record.setting) for record in records} == {("offload", "jpeg-75")}
    assert [line["now"] for line in lines] == ["offload jpeg-75"]
    assert "in time with" in lines[0]["because"]


def test_a_server_that_takes_no_pictures_gets_codes(bundle, serve, photos):
    records, _ = run(bundle, photos(10), serve(bundle, pictures="off").address, deadline_s=AGES_S)
    assert {(record.placement, record.setting) for record in records} == {("split", "all")}


def test_a_trickle_carries_no_pictures(bundle, serve, shaped, photos, tmp_path_factory):
    trace = tmp_path_factory.mktemp("trace") / "trickle"
    trace.write_text("0 0\n1 0.064\n")
    shaper = shaped(serve(bundle).address, f"trace:{trace}/0ms")
    records, lines = run(bundle, photos(60), shaper.address, deadline_s=0.15, fps=30.0, drop_policy="drop-oldest")
    assert "offload" not in {record.placement for record in records if not record.reason}
    assert all("Mbit/s" in line["because"] for line in lines)


def test_with_a_silent_server_the_device_is_chosen(bundle, peer, photos):
    def silent(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=3, takes_pictures=True))
        list(requests)

    records, lines = run(bundle, photos(30), peer(silent), deadline_s=0.5, fps=30.0, drop_policy="drop-oldest")
    assert {record.placement for record in records if not record.reason} == {"local"}
    assert records[-1].fallback == ""
    assert lines[-1]["now"] == "local"


def test_a_link_that_comes_back_is_noticed(bundle, serve, shaped, photos):
    shaper = shaped(serve(bundle).address, "unlimited/4ms")
    back = threading.Event()

    def follow(record):
        if record.sequence == 10:
            shaper.set_up(False)
        elif record.sequence == 40:
            shaper.set_up(True)
        elif record.sequence > 40 and record.placement == "offload":
            back.set()

    run(bundle, photos(200), shaper.address, deadline_s=0.5, fps=50.0, drop_policy="drop-oldest", on_record=follow)
    assert back.is_set()


def test_a_deadline_is_needed(bundle, serve, photos):
    with pytest.raises(ConfigError, match="--deadline"):
        run(bundle, photos(1), serve(bundle).address)


def test_figures_are_needed(make_tiny_bundle, serve, photos):
    made = make_tiny_bundle()
    with pytest.raises(ConfigError, match="does not say what the operating point all is worth"):
        run(made, photos(1), serve(made).address, deadline_s=1.0)


def test_picture_settings_are_read(bundle, serve, photos):
    with pytest.raises(ConfigError, match="gif-3"):
        run(bundle, photos(1), serve(bundle).address, deadline_s=1.0, picture="jpeg-75,gif-3")
