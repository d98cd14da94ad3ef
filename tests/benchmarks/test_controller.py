"""The controller's benchmark: the oracle, the simulation and the page, on made-up choices and links."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.devices.link import LinkProfile
from isthmus.devices.rate_trace import RateTrace


@pytest.fixture
def module(package):
    """A function that imports a module of the benchmark."""
    return lambda name: package(f"benchmarks.controller.{name}")


def tables():
    from benchmarks.controller.choice_table import ChoiceTable

    def table(placement, setting, size_bytes, right):
        return ChoiceTable(
            placement=placement,
            setting=setting,
            size_bytes=[size_bytes, size_bytes + size_bytes // 5],
            right=[1, int(right > 0.5)] if right < 1 else [1, 1],
            device_s=[0.010, 0.010],
            server_s=[0.0, 0.0] if placement == "local" else [0.005, 0.005],
        )

    return [table("local", "local", 0, 0.4), table("split", "full", 1500, 0.4), table("offload", "jpeg-75", 9000, 1.0)]


def scenario(spans, *, frames=8, seed=0):
    from benchmarks.controller.scenario import Camera, Scenario

    profile = LinkProfile(trace=RateTrace.of_rates(spans), round_trip_s=0.02)
    made = Scenario(tables(), profile, Camera(fps=10.0, deadline_s=0.2, frames=frames), seed=seed)
    made.accuracy = np.array([0.5, 0.7, 0.9])
    return made


spans = st.lists(st.tuples(st.floats(0.05, 0.4), st.sampled_from([0.0, 2e4, 2e5, 1e6, 4e6])), min_size=1, max_size=5).filter(
    lambda found: any(rate for _, rate in found)
)


@settings(max_examples=20, deadline=None)
@given(found=spans, seed=st.integers(0, 5))
def test_the_oracle_is_as_good_as_the_best_of_all_sequences_of_choices(found, seed):
    from benchmarks.controller.oracle import best_score
    from benchmarks.controller.simulation import Simulation

    made = scenario(found, frames=4, seed=seed)
    best = max(Simulation(made, Planned(plan)).run().score(made.accuracy) for plan in itertools.product(range(3), repeat=4))
    assert best <= best_score(made) + 1e-9
    # Leaving a frame out, or a fourth capture in flight, may be better than any of these; one frame's worth at the most.
    assert best_score(made) <= best + 0.5


class Planned:
    """Decides by a plan."""

    needs_credit = False

    def __init__(self, plan):
        self._plan = plan

    def decide(self, frame, captured_s, now_s, *, may_send):
        return self._plan[frame], None, ""

    def computed(self, row, device_s):
        pass

    def sent(self, number, row, size_bytes, now_s):
        pass

    def answered(self, number, network_s, server_s, now_s):
        pass


def test_a_fast_link_carries_everything_and_a_dead_one_nothing(module):
    simulation = module("simulation")
    fast, dead = scenario([(1.0, 50e6)], frames=20), scenario([(100.0, 0.0), (0.1, 1.0)], frames=20)
    for row, in_time in ((0, [1.0, 1.0]), (1, [1.0, 0.0]), (2, [1.0, 0.0])):
        assert [simulation.Simulation(one, simulation.Fixed(one, row)).run().in_time.mean() for one in (fast, dead)] == in_time


def test_the_simulation_keeps_the_time_of_the_link(module):
    """1680 bytes up, 120 down at 1 Mbit/s, 20 ms of round trip, 10 ms on the device, 5 ms on the server: 49.4 ms."""
    simulation = module("simulation")
    made = scenario([(1.0, 1e6)], frames=1)
    made.size_bytes[:], made.device_s[:], made.server_s[:] = 1620, 0.010, 0.005
    for deadline_s, expected in ((0.0495, 1.0), (0.0493, 0.0)):
        object.__setattr__(made.camera, "deadline_s", deadline_s)
        outcome = simulation.Simulation(made, simulation.Fixed(made, 1)).run()
        assert (outcome.in_time.mean(), outcome.sent_bytes) == (expected, 1620)


def test_the_controller_is_between_the_worst_and_the_oracle(module):
    simulation, policy, oracle = module("simulation"), module("policy"), module("oracle")
    made = scenario([(5.0, 4e6), (5.0, 1e5)], frames=200)
    outcome = simulation.Simulation(made, policy.Controlled(made, tables())).run()
    fixed = [simulation.Simulation(made, simulation.Fixed(made, row)).run().score(made.accuracy) for row in range(3)]
    assert max(fixed) < outcome.score(made.accuracy) < oracle.best_score(made)
    assert outcome.decisions


def test_no_recording_is_tuned_and_reported(module, monkeypatch, tmp_path):
    recordings = module("recordings")
    if not (recordings.DATA / "traces").is_dir():
        pytest.skip(f"no traces at {recordings.DATA}; set ISTHMUS_DATA")
    tuned, reported = recordings.files(tmp_path, "tuned"), recordings.files(tmp_path, "reported")
    assert not {path.name for path in tuned} & {path.name for path in reported}
    assert len({path.name for path in reported}) == len(reported) >= 20


def test_the_page_tells_what_was_missed(module, tmp_path):
    runs, page, scenario_module = module("runs"), module("page"), module("scenario")
    fixed = runs.Result(score=0.8, in_time=1.0, bytes_mean=100.0, standby_score=0.8)
    missed = runs.Result(score=0.7, in_time=0.9, bytes_mean=50.0, standby_score=0.75, changes=3)
    names = [choice.name for choice in tables()]
    found = [
        runs.Run(
            name=f"link {rate}",
            kind="3G",
            rate_mbit_s=rate,
            results={**dict.fromkeys(names, fixed), "controller": missed},
            oracle=0.85,
            standby_oracle=0.85,
        )
        for rate in (0.5, 1.5)
    ]
    assert runs.read([run.as_json() for run in found]) == found
    text = page.write(tmp_path, tables(), tables(), scenario_module.Camera(), found, []).read_text(encoding="utf-8")
    assert "below on 2 of 2" in text
    assert (tmp_path / page.PLOT).read_text(encoding="utf-8").startswith("<svg")
