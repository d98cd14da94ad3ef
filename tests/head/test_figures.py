import pytest

from isthmus.contract.classification import Classification
from isthmus.head.figures import LATEST_MAX, Figures
from isthmus.head.record import Record


def answer(sequence=0, **fields):
    said = Classification(index=0, label="cup", confidence=0.9)
    common = {"device": "porch", "session": "ab", "sequence": sequence, "name": "", "placement": "split", "classification": said}
    return Record(**{**common, **fields})


def drop(reason, sequence=0):
    return answer(sequence, placement="drop", reason=reason, classification=None)


@pytest.fixture
def figures():
    counted = Figures()
    for latency_s in (0.001, 0.003, 0.3, 9.0):
        counted.write(answer(latency_s=latency_s, stages_s={"head": 0.001}, payload_bytes=100))
    counted.write(answer(placement="local", latency_s=0.02, stages_s={"head": 0.006}))
    for reason in ("gate", "gate", "link"):
        counted.write(drop(reason))
    return counted


def lines(figures, gauges=None, labels=None):
    text = figures.as_prometheus(gauges or {}, labels or {"device": "porch"})
    assert text.endswith("\n")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_prometheus_gets_counts_by_placement_and_reason(figures):
    got = lines(figures)
    assert 'isthmus_agent_frames_answered_total{placement="split"} 4' in got
    assert 'isthmus_agent_frames_answered_total{placement="local"} 1' in got
    assert 'isthmus_agent_frames_dropped_total{reason="gate"} 2' in got
    assert 'isthmus_agent_payload_bytes_total{placement="split"} 400' in got


def test_the_histogram_is_cumulative_and_ends_with_all(figures):
    buckets = [float(line.split()[1]) for line in lines(figures) if "latency_seconds_bucket" in line]
    assert buckets == sorted(buckets)
    assert (buckets[0], buckets[-1]) == (1, 5)
    assert 'isthmus_agent_latency_seconds_bucket{le="+Inf"} 5' in lines(figures)
    assert "isthmus_agent_latency_seconds_count 5" in lines(figures)


def test_gauges_that_are_not_known_are_left_out_and_labels_are_escaped(figures):
    got = lines(figures, {"temperature_celsius": 48.5, "battery_ratio": None}, {"device": 'a "b"\n\\c'})
    assert "isthmus_agent_temperature_celsius 48.5" in got
    assert not any("battery" in line for line in got)
    assert 'isthmus_agent_info{device="a \\"b\\"\\n\\\\c"} 1' in got


def test_what_prometheus_gets_is_what_its_own_parser_reads(figures):
    parser = pytest.importorskip("prometheus_client.parser")
    text = figures.as_prometheus({"link_up": True}, {"device": "porch \n"})
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"counter", "histogram", "summary", "gauge"}
    assert families["isthmus_agent_info"].samples[0].labels == {"device": "porch \n"}


def test_the_page_gets_means_and_the_newest_frames_that_moved(figures):
    for sequence in range(30):
        figures.write(answer(sequence))
        figures.write(drop("gate", sequence))
    facts = figures.as_json()
    assert facts["stages_ms_mean"]["head"] == 2.0
    assert [record["sequence"] for record in facts["latest"]] == list(range(29, 29 - LATEST_MAX, -1))
    assert facts["latest"][0]["words"] == "cup 0.90"


def test_figures_without_a_frame_are_empty():
    assert Figures().as_json()["latency_ms_mean"] is None


def test_an_answer_that_waited_on_the_disk_has_no_latency(figures):
    before = figures.as_json()
    figures.write(answer(queued=True, payload_bytes=100))
    after = figures.as_json()
    assert (after["answered"]["split"], after["latency_ms_mean"]) == (5, before["latency_ms_mean"])
