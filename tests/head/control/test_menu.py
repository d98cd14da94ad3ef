import json

import pytest

from isthmus.errors import BundleError, ConfigError
from isthmus.head.control import menu

ROWS = [
    {"point": "all", "setting": "4ch, int8 head", "bytes_mean": 40.0, "metric": {"value": 0.8}, "device_ms": 2.0},
    {"point": "all", "setting": "4ch, float head", "bytes_mean": 41.0, "metric": {"value": 0.9}, "device_ms": 4.0},
    {"point": "half", "setting": "2ch", "bytes_mean": 20.0, "metric": {"value": 0.7}, "device_ms": 2.0},
    {"rival": "local", "setting": "whole", "bytes_mean": 0.0, "metric": {"value": 0.95}, "device_ms": 30.0},
    {"rival": "local", "setting": "local.onnx", "bytes_mean": 0.0, "metric": {"value": 0.6}, "device_ms": 5.0},
    {"rival": "jpeg", "setting": "q75", "bytes_mean": 9000.0, "metric": {"value": 0.94}, "device_ms": None},
]


@pytest.fixture
def measured(make_tiny_bundle):
    """A function that makes a bundle with such figures; a text is written as it is, None writes nothing."""

    def make(rows=ROWS, **options):
        bundle = make_tiny_bundle(local=True, **options)
        text = json.dumps({"meta": {}, "rows": rows}) if isinstance(rows, list) else rows
        if text is not None:
            (bundle.folder / menu.FILE).write_text(text)
        return bundle

    return make


def test_every_point_the_pictures_and_the_device_are_offered_with_their_figures(measured):
    found = menu.offered(measured(), ["jpeg-75"], local="local")
    assert [choice.name for choice in found] == ["local", "split all", "split half", "offload jpeg-75"]
    assert [choice.accuracy for choice in found] == [0.6, 0.8, 0.7, 0.94]
    assert [choice.size_bytes for choice in found] == [0.0, 40.0, 20.0, 9000.0]
    assert [choice.device_s for choice in found] == [0.005, 0.002, 0.002, 0.01]


def test_a_picture_that_was_not_measured_is_worth_what_the_unsplit_network_is(measured):
    *_, picture = menu.offered(measured(), ["webp-50"], local=None)
    assert (picture.name, picture.accuracy) == ("offload webp-50", 0.95)
    assert picture.device_s < 0.03


def test_without_the_unsplit_network_no_pictures_are_offered(measured):
    found = menu.offered(measured(without=("whole.onnx",)), ["jpeg-75"], local=None)
    assert {choice.placement for choice in found} == {"split"}


@pytest.mark.parametrize("rows", [None, ROWS[2:]])
def test_without_figures_nothing_can_be_chosen(measured, rows):
    with pytest.raises(ConfigError, match="the operating point all"):
        menu.offered(measured(rows), [], local=None)


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": 3}', '{"rows": [3]}', "{}"])
def test_figures_that_cannot_be_read_are_refused(measured, text):
    with pytest.raises(BundleError, match=r"evaluation\.json"):
        menu.offered(measured(text), [], local=None)
