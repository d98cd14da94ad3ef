import numpy as np
import pytest
from structlog.testing import capture_logs

from isthmus.errors import BundleError, ConfigError
from isthmus.head.filter import NeuralFilter
from isthmus.head.model import DeviceModel
from isthmus.head.placement import Split


def codes(value):
    return [np.full((4, 4, 4), value, np.int8)]


def test_a_frame_passes_from_the_threshold_on(make_tiny_bundle):
    chosen = NeuralFilter(make_tiny_bundle(filtered=2.0), head="head.onnx", audit_share=0.0)
    assert [chosen.decide(codes(value)) for value in (1, 2, 3)] == ["drop", "pass", "pass"]


def test_a_share_of_what_is_dropped_is_audited(make_tiny_bundle):
    drawn = iter([0.2, 0.3, 0.1])
    chosen = NeuralFilter(make_tiny_bundle(filtered=2.0), head="head.onnx", audit_share=0.25, draw=lambda: next(drawn))
    assert [chosen.decide(codes(0)) for _ in range(3)] == ["audit", "drop", "audit"]


def test_nothing_is_audited_where_answers_do_not_say_what_they_missed(make_tiny_bundle, with_record):
    bundle = with_record(make_tiny_bundle(filtered=2.0), presence=None)
    assert NeuralFilter(bundle, head="head.onnx", audit_share=1.0).decide(codes(0)) == "drop"


def test_a_score_that_is_no_number_lets_the_frame_pass(make_tiny_bundle, monkeypatch):
    chosen = NeuralFilter(make_tiny_bundle(filtered=2.0), head="head.onnx")
    monkeypatch.setattr(chosen._network, "score", lambda _codes: np.array([np.nan], np.float32))
    assert chosen.decide(codes(0)) == "pass"


def test_what_is_not_shown_and_what_was_calibrated_elsewhere_is_said(make_tiny_bundle, with_record):
    bundle = with_record(make_tiny_bundle(filtered=2.0), certified=False, recall_shown=0.5)
    with capture_logs() as logs:
        NeuralFilter(bundle, head="head.int8.onnx")
    assert [line["event"] for line in logs] == [
        "the filter's recall is not certified",
        "the filter was calibrated on the codes of another head",
    ]


def test_a_share_out_of_range_and_a_bundle_without_filter_are_refused(tiny_bundle, make_tiny_bundle):
    with pytest.raises(ConfigError, match=r"takes 1\.5 of the dropped frames"):
        NeuralFilter(make_tiny_bundle(filtered=0.0), head="head.onnx", audit_share=1.5)
    with pytest.raises(BundleError, match="has no filter"):
        NeuralFilter(tiny_bundle, head="head.onnx")


def test_split_encodes_nothing_of_what_is_dropped(make_tiny_bundle, picture):
    bundle = make_tiny_bundle(filtered=100.0)
    dropped = Split(bundle, filtering=True, audit_share=0.0).pack(picture)
    assert (dropped.verdict, dropped.payload_bytes, list(dropped.stages_s)) == ("drop", 0, ["prepare", "head", "filter"])
    audited = Split(bundle, filtering=True, audit_share=1.0).pack(picture)
    assert (audited.verdict, list(audited.stages_s)) == ("audit", ["prepare", "head", "filter", "encode"])
    assert Split(bundle).pack(picture).verdict == "pass"


def test_split_sends_what_scores_high_enough(make_tiny_bundle, picture):
    (computed,) = DeviceModel(make_tiny_bundle(), "head.onnx").compute(picture).arrays
    at = float(computed.mean())
    for threshold, verdict in ((at - 0.01, "pass"), (at + 0.01, "drop")):
        assert Split(make_tiny_bundle(filtered=threshold), filtering=True, audit_share=0.0).pack(picture).verdict == verdict


def test_split_without_a_filter_in_the_bundle_sends_everything(tiny_bundle, picture):
    assert Split(tiny_bundle, filtering=True).pack(picture).verdict == "pass"
