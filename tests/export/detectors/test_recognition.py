import numpy as np
import onnx
import onnx_ir as ir
import pytest

from isthmus.errors import ExportError, UsageError
from isthmus.export.detectors.decoding import Grid
from isthmus.export.detectors.recognition import recognise
from isthmus.export.doors.opening import Source, open_model

WIDTH, HEIGHT = 96, 64
GRID = Grid(width=WIDTH, height=HEIGHT, strides=(8, 16, 32))
THREE = Grid(width=WIDTH, height=HEIGHT, strides=(8, 16, 32), anchors=3)


def source(*, labels=(), **outputs):
    """A network that gives constant outputs, whatever the picture; two rows."""
    picture = f"float[2, 3, {HEIGHT}, {WIDTH}] picture"
    gives = ", ".join(f"float[{', '.join(map(str, array.shape))}] {name}" for name, array in outputs.items())
    lines = ["zero = Constant <value_float = 0.0> ()", "none = Mul (picture, zero)", "any = ReduceMax <keepdims = 0> (none)"]
    lines += [f"{name} = Add (fixed_{name}, any)" for name in outputs]
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> n ({picture}) => ({gives}) {{{chr(10).join(lines)}}}'
    )
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(array.astype(np.float32), f"fixed_{name}") for name, array in outputs.items()
    )
    return Source(
        model=ir.from_proto(proto),
        name="n",
        reference="n.onnx",
        torch_module=None,
        example_inputs=(np.zeros((2, 3, HEIGHT, WIDTH), np.float32),),
        dynamic_batch=False,
        labels=labels,
    )


def chances(*shape):
    return np.random.default_rng(0).random((2, *shape))


def decoded(grid, columns):
    """[2, N, columns]: centres in pixels near their cells, sizes, chances."""
    rows = chances(len(grid), columns)
    rows[..., :2] = (grid.corners() + rows[..., :2]) * grid.steps()
    rows[..., 2:4] *= 50
    return rows


def softmax_map(classes):
    rows = chances(5 + classes, HEIGHT // 16, WIDTH // 16)
    rows[:, 5:] /= rows[:, 5:].sum(axis=1, keepdims=True)
    return rows


TINY = Grid(width=WIDTH, height=HEIGHT, strides=(16, 32), anchors=3)
LARGE = Grid(width=WIDTH, height=HEIGHT, strides=(8, 16, 32, 64))
KNOWN = {
    "fastestdet": (softmax_map(3), "fastestdet", "raw", 3),
    "yolox without its last step": (chances(len(GRID), 12), "yolox", "raw", 7),
    "yolox decoded": (decoded(GRID, 12), "yolox", "decoded", 7),
    "yolov5": (decoded(THREE, 6), "yolov5", "decoded", 1),
    "yolov3 tiny": (decoded(TINY, 85), "yolov5", "decoded", 80),
    "yolov8": (decoded(GRID, 9).transpose(0, 2, 1), "yolov8", "decoded", 5),
    "yolov8 for large pictures": (decoded(LARGE, 5).transpose(0, 2, 1), "yolov8", "decoded", 1),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_family_is_told_by_shapes_and_values(name):
    output, family, form, classes = KNOWN[name]
    told = []
    found = recognise(source(output=output), on_hint=told.append)
    assert (found.family.name, found.form, found.classes) == (family, form, classes)
    assert found.outputs == ("output",)
    assert told == [f"it is {found.describe()}"]
    assert recognise(source(output=output), family).family.name == family


def moved(array, places):
    changed = array.copy()
    changed[places] += 2
    return changed


UNKNOWN = {
    "scores of classes": chances(10),
    "tokens": chances(len(GRID) + 1, 85),
    "features at stride 16": chances(40, 4, 6),
    "keypoints behind the chances": moved(decoded(GRID, 20), np.s_[..., 17:]).transpose(0, 2, 1),
    "yolox with logits": moved(chances(len(GRID), 12), np.s_[..., 4:]),
    "yolov8 in shares of the picture": (decoded(GRID, 9) / [*(WIDTH, HEIGHT) * 2, *[1] * 5]).transpose(0, 2, 1),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_networks_are_left_as_they_are(name):
    told = []
    assert recognise(source(output=UNKNOWN[name]), on_hint=told.append) is None
    assert len(told) == (UNKNOWN[name].ndim > 2)
    assert all("fit no known family" in words for words in told)


def test_a_second_output_may_be_anything_and_is_not_guessed():
    assert recognise(source(output=decoded(GRID, 40).transpose(0, 2, 1), masks=chances(32, 16, 24))) is None


def test_maps_of_old_yolov5_exports_are_left_out():
    maps = {f"map{index}": chances(3, HEIGHT // stride, WIDTH // stride, 9) for index, stride in enumerate((8, 16, 32))}
    assert recognise(source(output=decoded(THREE, 9), **maps)).outputs == ("output",)


@pytest.mark.parametrize(
    ("count", "labels", "form"),
    [
        (92, (), "softmax"),
        (80, (), "sigmoid"),
        (5, tuple("abcd"), "softmax"),
        (5, tuple("abcde"), "sigmoid"),
        (80, tuple(map(str, range(79))), "softmax"),
    ],
)
def test_the_number_of_names_tells_detrs_apart(count, labels, form):
    found = recognise(source(labels=labels, pred_boxes=chances(30, 4), logits=chances(30, count)))
    assert (found.family.name, found.form, found.classes) == ("detr", form, count - (form == "softmax"))
    assert found.outputs == ("logits", "pred_boxes")
    assert found.places == (30 if form == "softmax" else 30 * count)


def test_where_it_is_unclear_names_are_asked_for():
    told = []
    unclear = source(pred_boxes=chances(30, 4), logits=chances(30, 5))
    assert recognise(unclear, on_hint=told.append) is None
    assert "detr (softmax) and detr (sigmoid)" in told[0]
    assert "--labels" in told[0]
    with pytest.raises(ExportError, match="detr \\(softmax\\) and detr \\(sigmoid\\)"):
        recognise(unclear, "detr")
    assert recognise(unclear, names=tuple("abcd")).form == "softmax"


def test_other_outputs_of_a_detr_are_left_out_by_name():
    more = {"last_hidden_state": chances(30, 256), "places": chances(30, 4)}
    assert recognise(source(**more, logits=chances(30, 80), pred_boxes=chances(30, 4))).outputs == ("logits", "pred_boxes")


def test_anchors_of_an_ssd_are_no_queries():
    assert recognise(source(labels=("background", "face"), boxes=chances(4420, 4), scores=chances(4420, 2))) is None


def test_none_asks_nothing_and_a_family_insists():
    assert recognise(source(output=KNOWN["yolov5"][0]), "none") is None
    with pytest.raises(ExportError, match=r"output \[2, 378, 6\] for 96x64 pixels do not fit the family yolox"):
        recognise(source(output=KNOWN["yolov5"][0]), "yolox")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"choice": "yolo9000"}, "no detector family 'yolo9000'; known: auto, none, fastestdet"),
        ({"score_min": 1.5}, "--score-min is 1.5"),
        ({"names": ("one",)}, "1 names, the network tells 7"),
    ],
)
def test_a_mistake_is_named(arguments, words):
    with pytest.raises(UsageError, match=words):
        recognise(source(output=KNOWN["yolox decoded"][0]), **arguments)


def test_what_is_for_detectors_is_not_silently_left_aside():
    for network, choice in ((source(output=chances(10)), "auto"), (source(output=KNOWN["yolov8"][0]), "none")):
        with pytest.raises(UsageError, match="is for the boxes of a detector"):
            recognise(network, choice, score_min=0.5)


def test_the_score_to_show_can_be_chosen():
    assert recognise(source(output=KNOWN["yolov8"][0])).score_min == 0.25
    assert recognise(source(output=KNOWN["yolov8"][0]), score_min=0.0).score_min == 0.0


def test_a_network_without_a_picture_is_no_detector(handmade, tmp_path, proto_of):
    onnx.save(proto_of("n (float[batch, 16] x) => (float[batch, 16] y) { t = Relu (x) y = Neg (t) }"), tmp_path / "v.onnx")
    vector = open_model(str(tmp_path / "v.onnx"))
    assert recognise(vector) is None
    with pytest.raises(ExportError, match="no picture of fixed size"):
        recognise(vector, "yolox")
