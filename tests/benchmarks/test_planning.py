"""The benchmark of plans: how cells and verdicts are judged, and a crowd of streams before a real server."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from isthmus.bench.planning.candidate import Candidate
from isthmus.bench.planning.forecast import Forecast
from isthmus.contract.metric import Metric
from isthmus.devices import link as links
from isthmus.devices.cost.table import Seconds


@pytest.fixture
def cells(package):
    return package("benchmarks.planning.cells")


def seconds(value):
    return Seconds(value=value, low=value, high=value)


def forecast(placement, setting, latency_s, *, accuracy=0.9):
    metric = Metric(name="accuracy", value=accuracy, low=0.0, high=1.0)
    candidate = Candidate(placement=placement, setting=setting, metric=metric, device={"head": seconds(latency_s)})
    link = links.parse("1mbit/20ms") if placement != "local" else None
    return Forecast(candidate=candidate, link=link, stages=candidate.device, wire_bytes=0.0, energy=None, marks=())


def judged(cells, forecasts, rows, **how):
    plan = SimpleNamespace(figures=SimpleNamespace(unsplit=Metric(name="accuracy", value=0.9, low=0.0, high=1.0)))
    over = SimpleNamespace(forecasts=forecasts, setting=SimpleNamespace(link=links.parse("1mbit/20ms")))
    return cells._verdict(SimpleNamespace(name="tiny"), plan, over, rows, **({"drop": 0.01, "alone": True} | how))


LOCAL, SPLIT, PICTURE = ("local", "whole", None), ("split", "all", "1mbit/20ms"), ("offload", "jpeg-75", "1mbit/20ms")


def test_a_verdict_is_judged_by_what_its_choice_took_in_truth(cells):
    forecasts = [forecast("local", "whole", 0.03), forecast("split", "all", 0.02)]
    found = judged(cells, forecasts, {LOCAL: 30.0, SPLIT: 33.0})
    assert (found.chosen, found.best, found.loss) == ("split all", "local whole", pytest.approx(0.1))


def test_the_device_alone_may_be_left_out_and_so_is_what_is_not_accurate(cells):
    forecasts = [
        forecast("local", "whole", 0.01),
        forecast("split", "all", 0.02, accuracy=0.8),
        forecast("offload", "jpeg-75", 0.03),
    ]
    rows = {LOCAL: 10.0, SPLIT: 20.0, PICTURE: 30.0}
    assert judged(cells, forecasts, rows, alone=False, drop=0.2).chosen == "split all"
    assert judged(cells, forecasts, rows).chosen == "local whole"
    assert judged(cells, forecasts, rows, alone=False) is None


def test_the_shapers_own_time_is_taken_off_where_there_is_a_link(cells):
    times = {"predicted_ms": 20.0, "measured_ms": 22.0, "bytes_predicted": 0.0, "bytes_measured": 0.0, "stages_ms": {}}
    remote = cells.Compared(network="tiny", placement="split", setting="all", link="1mbit/20ms", **times)
    local = cells.Compared(network="tiny", placement="local", setting="whole", link="", **times)
    assert (remote.without(2.0), local.without(2.0)) == (1.0, pytest.approx(20 / 22))


def test_a_crowd_is_served_and_simulated(package, tiny_bundle, tmp_path, monkeypatch):
    crowd = package("benchmarks.planning.crowd")
    monkeypatch.setattr(crowd, "SECONDS", 1.0)
    monkeypatch.setattr(crowd, "LOADS", (0.1,))
    monkeypatch.setattr(crowd, "LIGHT_S", 0.0)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    metric = Metric(name="accuracy", value=0.9, low=0.0, high=1.0)
    stages = {"round_trip": seconds(0.001), "server": {"compute": seconds(0.002)}, "device": {"head": seconds(0.001)}}
    offered = [
        Candidate(placement=placement, setting=setting, metric=metric, payload_bytes=99, usual_bytes=99, **stages)
        for placement, setting in (("split", "all"), ("offload", "jpeg-75"))
    ]
    known = SimpleNamespace(name="tiny", bundle=tiny_bundle, pictures=tmp_path)
    found = crowd.run(known, offered, say=lambda _words: None)
    assert [one.placement for one in found] == ["split all", "offload jpeg-75"]
    assert all(one.frames > 0 and one.simulated_p50_ms > 0 for one in found)
