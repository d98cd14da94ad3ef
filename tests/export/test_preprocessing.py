import numpy as np
import pytest

from isthmus.contract.prepare import Preparation, prepare
from isthmus.errors import ExportError, UsageError
from isthmus.export import preprocessing

CONVOLUTION = (
    "n (float[{batch}, {channels}, {rows}, {columns}] x) => (float[{batch}, 2] y) {{ p = GlobalMaxPool (x) y = Flatten (p) }}"
)
EXPECTED = {
    "unit": [1.0, 0.0, 0.2],
    "centred": [1.0, -1.0, -0.6],
    "bytes": [255.0, 0.0, 51.0],
    "imagenet": [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225],
    "yolox": [51.0, 0.0, 255.0],
    "yolo": [1.0, 0.0, 0.2],
}
RED = np.full((5, 7, 3), (51, 0, 255), np.uint8)
"""Red 1, green 0, blue 0.2."""


@pytest.fixture
def taking(model_of):
    """A model that takes [batch, channels, rows, columns]."""
    return lambda channels=3, rows=5, columns=7, batch="batch": model_of(
        CONVOLUTION.format(channels=channels, rows=rows, columns=columns, batch=batch).replace(", 2]", f", {channels}]")
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_a_preset_gives_the_values_its_networks_are_trained_on(taking, name):
    prepared = prepare(RED, preprocessing.choose(name, taking()))
    np.testing.assert_allclose(prepared[0, :, 2, 3], EXPECTED[name], rtol=1e-5, atol=1e-6)


def test_every_preset_can_be_made(taking):
    for name in preprocessing.PRESETS:
        chosen = preprocessing.choose(name, taking(channels=1 if name == "grey" else 3))
        assert prepare(RED, chosen).shape == (1, chosen.channels, 5, 7)


def test_the_size_is_that_of_the_input(taking):
    chosen = preprocessing.choose("imagenet", taking(rows=24, columns=40))
    assert (chosen.height, chosen.width, chosen.fit) == (24, 40, "crop")


@pytest.mark.parametrize(("channels", "colour"), [(3, "rgb"), (1, "grey")])
def test_without_a_name_the_number_of_channels_decides(taking, channels, colour):
    assert preprocessing.choose(None, taking(channels=channels)).colour == colour


@pytest.mark.parametrize(
    ("name", "hint"), [("imagnet", "did you mean imagenet"), ("gray", "did you mean grey"), ("zzz", "known: unit")]
)
def test_an_unknown_name_is_refused_with_a_hint(taking, name, hint):
    with pytest.raises(UsageError, match=hint):
        preprocessing.choose(name, taking())


@pytest.mark.parametrize(
    ("name", "channels", "message"), [("grey", 3, "gives 1 channels, the network takes 3"), ("unit", 1, "gives 3 channels")]
)
def test_a_preset_of_another_number_of_channels_is_refused(taking, name, channels, message):
    with pytest.raises(ExportError, match=message):
        preprocessing.choose(name, taking(channels=channels))


@pytest.mark.parametrize("shape", [{"channels": 4}, {"rows": "height"}])
def test_an_input_that_is_no_picture_is_refused_in_one_line(taking, shape):
    with pytest.raises(ExportError, match=r"one picture input \[batch, 1 or 3, row, column\].*; this one takes x") as refused:
        preprocessing.choose(None, taking(**shape))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("channels", "rows", "columns", "layout"), [(3, 5, 7, "nchw"), (5, 7, 3, "nhwc"), (3, 7, 3, "nchw"), (6, 4, 1, "nhwc")]
)
def test_the_axis_of_1_or_3_is_the_channels(taking, channels, rows, columns, layout):
    chosen = preprocessing.choose(None, taking(channels, rows, columns))
    assert chosen.layout == layout
    assert prepare(RED, chosen).shape == (1, channels, rows, columns)


def test_what_comes_with_the_model_is_taken_unless_a_name_is_given(taking):
    own = Preparation(width=9, height=9, fit="crop", mean=(0.1, 0.2, 0.3), interpolation="bicubic")
    chosen = preprocessing.choose(None, taking(), suggested=own)
    assert chosen == own.model_copy(update={"height": 5, "width": 7})
    assert preprocessing.choose("bytes", taking(), suggested=own).scale == 1.0


def test_what_comes_with_the_model_must_fit_it(taking):
    with pytest.raises(ExportError, match="comes with the model gives 3 channels, the network takes 1"):
        preprocessing.choose(None, taking(channels=1), suggested=Preparation(width=9, height=9))


def test_two_inputs_are_refused(handmade):
    with pytest.raises(ExportError, match=r"this one takes x .*, gain"):
        preprocessing.choose(None, handmade["two_inputs"])


def test_a_fixed_batch_of_one_is_taken_and_a_larger_one_refused(taking):
    assert preprocessing.choose(None, taking(batch=1)).width == 7
    with pytest.raises(ExportError, match="x takes batches of 4 only"):
        preprocessing.choose(None, taking(batch=4))
