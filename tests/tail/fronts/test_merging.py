from isthmus.tail.fronts.merging import merged

ONE = """# HELP isthmus_ready 1 while new streams are taken.
# TYPE isthmus_ready gauge
isthmus_ready 1.0
# HELP isthmus_build_info Always 1.
# TYPE isthmus_build_info gauge
isthmus_build_info{version="1"} 1.0
# HELP isthmus_captures_total Captures.
# TYPE isthmus_captures_total counter
isthmus_captures_total{bundle="a",status="ok"} 3.0
# HELP isthmus_stage_seconds Time.
# TYPE isthmus_stage_seconds histogram
isthmus_stage_seconds_bucket{le="0.1"} 2.0
isthmus_stage_seconds_bucket{le="+Inf"} 3.0
isthmus_stage_seconds_count 3.0
isthmus_stage_seconds_sum 0.5
"""
OTHER = ONE.replace("isthmus_ready 1.0", "isthmus_ready 0.0").replace('bundle="a"', 'bundle="b"').replace("0.5\n", "0.25\n")


def lines(*texts):
    return [line for line in merged(texts).decode().splitlines() if not line.startswith("#")]


def test_counters_and_histograms_are_added_sample_by_sample():
    assert 'isthmus_captures_total{bundle="a",status="ok"} 6.0' in lines(ONE, ONE)
    assert {"isthmus_stage_seconds_sum 0.75", 'isthmus_stage_seconds_bucket{le="0.1"} 4.0'} <= set(lines(ONE, OTHER))


def test_what_only_one_process_has_is_kept():
    samples = lines(ONE, OTHER)
    assert 'isthmus_captures_total{bundle="a",status="ok"} 3.0' in samples
    assert 'isthmus_captures_total{bundle="b",status="ok"} 3.0' in samples


def test_one_process_that_is_not_ready_is_told():
    assert "isthmus_ready 0.0" in lines(ONE, OTHER)


def test_what_is_the_same_everywhere_is_said_once():
    assert 'isthmus_build_info{version="1"} 1.0' in lines(ONE, OTHER)


def test_one_process_alone_reads_as_it_wrote():
    assert lines(ONE) == [line for line in ONE.splitlines() if not line.startswith("#")]
