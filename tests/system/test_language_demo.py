"""A language model from its weights to answers over links, small: real processes and sockets, and the model of the package."""

import copy
import io
import json

import pytest
from rich.console import Console

from isthmus.bench.language import publish
from isthmus.bench.language.demo import demonstrate
from isthmus.bench.language.settings import DemoSettings
from isthmus.bench.language.table import conversations_table
from isthmus.bench.language.yardstick import Yardstick
from isthmus.bench.results import read_results
from isthmus.codec.payload import Mode

pytestmark = pytest.mark.slow
TOKENS, KILLED_BEHIND = 6, 3


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    found = demonstrate(folder, DemoSettings(links=("100mbit/2ms",), tokens=TOKENS, killed_behind=KILLED_BEHIND))
    return found, publish.demo(found, folder), folder


def test_every_placement_says_as_much(shown):
    _, published, _ = shown
    rows = published.results.rows
    assert [row.label for row in rows] == [
        "local",
        "split int8",
        "split int4",
        "sandwich int8",
        "token ids",
        "split int8, server killed",
    ]
    assert {row.answered for row in rows} == {2 * TOKENS}


def test_all_tokens_are_those_of_the_same_networks_in_one_place(shown):
    found, published, _ = shown
    assert publish.differing(found.spoken) == 0
    assert any(sentence.startswith("All 72 tokens, over every link,") for sentence in published.said)


def test_a_wrong_token_is_told(shown):
    found, _, _ = shown
    wrong = copy.deepcopy(found.spoken[1].talk)
    wrong.ids[-1] = (wrong.ids[-1] + 1) % found.bundles[0].manifest.vocabulary
    yardstick = Yardstick(found.bundles[0], found.settings.sampling)
    assert yardstick.as_in_one_place(wrong, Mode.HIDDEN_INT8, splits=True) == 2 * TOKENS - 1


def test_without_its_server_the_device_goes_on_alone(shown):
    found, published, _ = shown
    talk = found.spoken[-1].talk
    places = [where for _, where in talk.drawn]
    assert places == ["head-tail"] * KILLED_BEHIND + ["local"] * (2 * TOKENS - KILLED_BEHIND)
    assert talk.lost
    assert published.results.rows[-1].drawn_on_device_alone == 2 * TOKENS - KILLED_BEHIND


def test_bytes_are_those_of_what_crosses(shown):
    _, published, _ = shown
    local, int8, int4, sandwich, ids, _ = published.results.rows
    width = shown[0].bundles[0].manifest.width
    assert local.bytes_payload_mean == local.bytes_wire_mean == 0
    assert ids.bytes_up_mean < int4.bytes_up_mean < int8.bytes_up_mean
    assert width < int8.bytes_up_mean < sandwich.bytes_payload_mean
    assert sandwich.bytes_down_mean > width > int8.bytes_down_mean


def test_results_and_report_can_be_read(shown):
    found, published, folder = shown
    assert read_results(folder / "results.json") == published.results
    assert json.loads((folder / "results.json").read_text())["meta"]["tokens_that_differ"] == 0
    page = published.report.read_text(encoding="utf-8")
    assert "smoke test" in page
    assert found.text.splitlines()[0] in page
    assert "https://" not in page


def test_both_bundles_passed_what_verify_checks(shown):
    found, _, _ = shown
    assert {gate.name for gate in found.gates} == {"head.onnx", "tail.onnx", "last.onnx", "local.onnx"}
    assert all(gate.value <= gate.limit for gate in found.gates)


def test_the_table_fits_100_columns(shown):
    _, published, _ = shown
    text = io.StringIO()
    Console(file=text, width=100).print(conversations_table(published.results.rows))
    assert "…" not in text.getvalue()
    assert "split int8, server killed" in text.getvalue()
