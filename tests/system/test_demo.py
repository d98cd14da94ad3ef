"""The whole path: train, cut, export, serve, stream, measure, publish; small, with real processes and sockets."""

import json

import pytest

from isthmus.bench import publish
from isthmus.bench.demo import DemoSettings, demonstrate
from isthmus.bench.results import read_results
from isthmus.codec import predictive

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    settings = DemoSettings(
        teacher_steps=60, bottleneck_steps=30, belts=4, frames=700, measure_every=20, stream_fps=400.0, link="5mbit/5ms"
    )
    found = demonstrate(folder, None, settings)
    return found, publish.demo(found, folder), folder


def test_every_placement_is_measured_on_the_same_frames(shown):
    found, _, _ = shown
    assert [cell.placement.name for cell in found.measured.cells] == ["local", "offload", "offload", "offload", "split"]
    assert len({frozenset(cell.guesses) for cell in found.measured.cells}) == 1
    assert not any(cell.failures for cell in found.measured.cells)


def test_the_split_sends_fewer_bytes_than_any_picture(shown):
    _, published, _ = shown
    rows = {row.label: row for row in published.results.rows}
    assert rows["split full"].bytes_payload_mean < rows["offload webp-50"].bytes_payload_mean
    assert rows["local whole"].bytes_wire_mean == 0


@pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built")
def test_the_split_crosses_by_the_tables_that_were_learned(shown):
    _, published, _ = shown
    (modes,) = (row.modes for row in published.results.rows if row.placement == "split")
    # Which mode is cheapest for a frame depends on how far a short training came.
    assert {"intra", "temporal"} & set(modes)


def test_wire_bytes_include_what_grpc_adds(shown):
    _, published, _ = shown
    for row in published.results.rows:
        assert row.bytes_wire_mean >= row.bytes_payload_mean


def test_the_agent_accounts_for_every_frame(shown):
    found, _, _ = shown
    facts = found.streamed.facts
    assert facts["frames"] == 700 == len(found.streamed.records)
    assert facts["answered"] + sum(facts["dropped"].values()) == 700
    assert facts["answered"] > 0


def test_the_gate_keeps_the_digits(shown):
    found, _, _ = shown
    assert found.measured.recall > 0.95
    assert found.measured.empty_dropped > 0.6 * found.measured.empty_frames


def test_the_results_can_be_read_again(shown):
    found, published, folder = shown
    assert read_results(folder / "results.json") == published.results
    assert json.loads((folder / "results.json").read_text())["meta"]["energy"] == found.measured.energy


def test_a_machine_that_did_not_stay_the_same_gives_no_result(shown):
    found, published, folder = shown
    recorded = json.loads((folder / "results.json").read_text())["meta"]["steadiness"]
    assert recorded["steady"] == (not recorded["reasons"]) == found.measured.steadiness.is_steady
    assert published.said[0].startswith("This run is unsteady") != found.measured.steadiness.is_steady


def test_the_report_stands_alone_and_says_what_it_is(shown):
    _, published, _ = shown
    page = published.report.read_text(encoding="utf-8")
    assert "smoke test" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_bundle_passed_its_gates(shown):
    found, _, _ = shown
    names = [gate.name for gate in found.bundle.manifest.gates]
    assert "head then tail equals the source" in names
    assert all(gate.value <= gate.limit for gate in found.bundle.manifest.gates)
