import itertools

from isthmus.bench.planning import candidates, front
from isthmus.bench.planning.forecast import Setting, forecast
from isthmus.devices import link as links
from isthmus.devices.profiles import catalog


def forecasts(bundle, known, text, profile="rpi4"):
    setting = Setting(link=links.parse(text), profile=catalog.load(profile))
    return [forecast(one, setting) for one in candidates.candidates(bundle, *known(bundle))]


def beats(one, other):
    better = one.latency.value <= other.latency.value and one.wire_bytes <= other.wire_bytes
    return better and one.candidate.metric.value >= other.candidate.metric.value and one.above_idle_j <= other.above_idle_j


def test_nothing_on_the_front_is_beaten_and_all_else_is(tiny_bundle, make_known):
    everything = forecasts(tiny_bundle, make_known, "1mbit/20ms")
    found = front.front(everything)
    assert not any(beats(one, other) for one, other in itertools.permutations(found, 2))
    assert all(any(beats(one, other) for one in found) for other in everything if other not in found)
    # A cut without a bottleneck sends more than the best point and computes more.
    assert "split cut 3" not in [one.candidate.name for one in found]


def test_what_the_link_cannot_carry_is_not_on_the_front(tiny_bundle, make_known):
    found = front.front(forecasts(tiny_bundle, make_known, "10kbit/20ms"))
    assert "offload jpeg-75" not in [one.candidate.name for one in found]
