import json

import pytest

from isthmus.errors import ExportError
from isthmus.export.doors import processor

PLAIN = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False, "size": 64}


def prepared(settings, channels=3):
    return processor.preparation({**PLAIN, **settings}, 20, 30, channels, "folder")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, {"fit": "stretch", "scale": 1 / 255, "mean": (0.0, 0.0, 0.0), "colour": "rgb", "interpolation": "bilinear"}),
        ({"do_rescale": False}, {"scale": 1.0}),
        ({"do_normalize": True, "image_mean": [0.1, 0.2, 0.3]}, {"mean": (0.1, 0.2, 0.3), "standard_deviation": (1.0, 1.0, 1.0)}),
        ({"do_normalize": True, "image_mean": 0.5, "image_std": [0.25]}, {"mean": (0.5,) * 3, "standard_deviation": (0.25,) * 3}),
        ({"resample": 0}, {"interpolation": "nearest"}),
        ({"resample": 3}, {"interpolation": "bicubic"}),
        ({"do_center_crop": True}, {"fit": "crop"}),
        ({"crop_pct": 0.875}, {"fit": "crop"}),
        ({"do_flip_channel_order": True}, {"colour": "bgr"}),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True}, {"scale": 1 / 127.5, "mean": (1.0, 1.0, 1.0)}),
    ],
)
def test_settings_become_a_preparation(settings, wanted):
    assert prepared(settings).model_dump(include=set(wanted)) == wanted
    assert (prepared(settings).height, prepared(settings).width) == (20, 30)


def test_one_channel_is_grey():
    assert prepared({"do_normalize": True, "image_mean": [0.5], "image_std": [0.5]}, channels=1).colour == "grey"


@pytest.mark.parametrize("settings", [{"image_mean": [0.5, 0.5], "do_normalize": True}, {"rescale_factor": "big"}])
def test_settings_that_make_no_sense_are_refused_in_one_line(settings):
    with pytest.raises(ExportError, match="folder: the settings of the image processor make no sense") as caught:
        prepared(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "config", "wanted"),
    [
        ({"size": {"height": 5, "width": 6}}, {"image_size": 9}, (5, 6)),
        ({"size": {"shortest_edge": 8}, "crop_size": 7, "do_center_crop": True}, {}, (7, 7)),
        ({"size": {"shortest_edge": 8}, "crop_size": 7, "do_center_crop": False}, {}, (8, 8)),
        (None, {"image_size": [4, 3]}, (4, 3)),
        (None, {"backbone_config": {"image_size": 12}}, (12, 12)),
        (None, {}, None),
    ],
)
def test_the_size_is_that_of_the_crop_then_of_the_resize_then_of_the_model(settings, config, wanted):
    assert processor.size(settings, config) == wanted


def test_newer_folders_keep_the_image_processor_inside_another_file(tmp_path):
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": PLAIN, "tokenizer": {}}))
    assert processor.read(tmp_path) == PLAIN


def test_settings_of_something_else_are_not_taken(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    assert processor.read(tmp_path) is None
