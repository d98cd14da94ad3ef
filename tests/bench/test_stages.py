import importlib.util

import numpy as np
import pytest

from isthmus.bench import stages


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_pieces_of_device_and_server_are_timed_and_payloads_counted(tiny_bundle, picture):
    found = stages.measure(tiny_bundle, [picture], runs=2, pause_s=0.0)
    wanted = {"prepare", "head", "encode all", "encode half", "local", "encode webp-50", "encode jpeg-75@32x32"}
    wanted |= {"server decode all", "server decode webp-50"}
    wanted |= {f"{stage} {kind}" for stage in ("round trip", "server compute") for kind in ("split", "offload")}
    assert wanted <= found.seconds.keys()
    # Head and preparation are the same at both points, and so are timed at each.
    assert (len(found.spent_s["encode all"]), len(found.spent_s["head"])) == (2, 4)
    assert found.payload_bytes["all"].mean > found.payload_bytes["half"].mean
    assert found.payload_bytes["jpeg-90"].median > found.payload_bytes["jpeg-10"].median


def test_a_device_without_the_server_has_no_round_trip(tiny_bundle, picture, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    found = stages.measure(tiny_bundle, [picture], runs=1, pause_s=0.0)
    assert "round trip split" not in found.seconds
    assert "server decode all" in found.seconds


def test_large_pictures_are_encoded_no_oftener_than_needed(tiny_bundle, picture, monkeypatch):
    monkeypatch.setattr(stages, "PICTURE_S", 0.0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    found = stages.measure(tiny_bundle, [picture], runs=stages.PICTURE_RUNS_MIN + 3, pause_s=0.0)
    assert len(found.spent_s["encode webp-90"]) == stages.PICTURE_RUNS_MIN
    assert len(found.spent_s["encode all"]) == stages.PICTURE_RUNS_MIN + 3


def test_median_and_percentiles():
    found = stages.spread([float(value) for value in range(101)])
    assert (found.low, found.value, found.high) == pytest.approx((5, 50, 95))
