import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.runtime import Network, Port, changed_share, relative_error
from isthmus.errors import BundleError, DeviceError

onnx = pytest.importorskip("onnx")
FLOAT, DOUBLE, INT64, STRING = (getattr(onnx.TensorProto, name) for name in ("FLOAT", "DOUBLE", "INT64", "STRING"))

IMAGE = np.arange(12, dtype=np.float32).reshape(1, 3, 4)


def write(path: Path, nodes, inputs, outputs, opset: int = 17) -> Path:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [value(*port) for port in inputs], [value(*port) for port in outputs])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """`image` float32[batch, 3, 4] -> `twice`, and `negative`."""
    nodes = [onnx.helper.make_node("Add", ["image", "image"], ["twice"]), onnx.helper.make_node("Neg", ["image"], ["negative"])]
    shape = ["batch", 3, 4]
    outputs = [("twice", FLOAT, shape), ("negative", FLOAT, shape)]
    return write(tmp_path / "doubling.onnx", nodes, [("image", FLOAT, shape)], outputs)


@pytest.fixture
def reshaping(tmp_path: Path) -> Path:
    """Fails while computing unless `data` has as many values as `shape` asks for."""
    node = onnx.helper.make_node("Reshape", ["data", "shape"], ["out"])
    inputs = [("data", FLOAT, ["n"]), ("shape", INT64, [2])]
    return write(tmp_path / "reshaping.onnx", [node], inputs, [("out", FLOAT, ["a", "b"])])


def one_line(refusal: pytest.ExceptionInfo[Exception]) -> str:
    message = str(refusal.value)
    assert "\n" not in message
    return message


def test_ports_say_name_dtype_and_shape(doubling):
    network = Network.load(doubling)
    assert network.inputs == (Port(name="image", dtype=np.dtype("float32"), shape=(None, 3, 4)),)
    assert [port.name for port in network.outputs] == ["twice", "negative"]


@pytest.mark.parametrize("optimised", [True, False])
def test_run_gives_every_output_by_name(doubling, optimised):
    outputs = Network.load(doubling, optimised=optimised).run({"image": IMAGE})
    np.testing.assert_array_equal(outputs["twice"], 2 * IMAGE)
    np.testing.assert_array_equal(outputs["negative"], -IMAGE)


@pytest.mark.parametrize("batch", [1, 5])
def test_a_symbolic_axis_takes_any_size(doubling, batch):
    assert Network.load(doubling).run({"image": np.ones((batch, 3, 4), np.float32)})["twice"].shape == (batch, 3, 4)


def test_arrays_need_not_be_contiguous(doubling):
    image = np.asfortranarray(IMAGE)
    np.testing.assert_array_equal(Network.load(doubling).run({"image": image})["twice"], 2 * IMAGE)


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ({}, ["['image']", "[]"]),
        ({"picture": IMAGE}, ["['image']", "['picture']"]),
        ({"image": IMAGE, "mask": IMAGE}, ["['image']", "['image', 'mask']"]),
        ({"image": IMAGE.astype(np.float64)}, ["float32", "float64"]),
        ({"image": IMAGE.astype(">f4")}, ["float32", ">f4"]),
        ({"image": IMAGE[0]}, ["(any, 3, 4)", "(3, 4)"]),
        ({"image": IMAGE[:, :2]}, ["(any, 3, 4)", "(1, 2, 4)"]),
    ],
)
def test_feeds_that_do_not_fit_are_refused_with_both_values(doubling, feeds, said):
    with pytest.raises(BundleError) as refusal:
        Network.load(doubling).run(feeds)
    assert all(value in one_line(refusal) for value in [*said, "doubling.onnx"])
    assert refusal.value.__cause__ is None


def test_failing_while_computing_is_a_device_error(reshaping):
    feeds = {"data": np.ones(6, np.float32), "shape": np.array([4, 4])}
    with pytest.raises(DeviceError, match=r"reshaping\.onnx") as refusal:
        Network.load(reshaping).run(feeds)
    assert one_line(refusal)
    assert type(refusal.value.__cause__).__module__.startswith("onnxruntime")


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"\xff" * 64, lambda data: b""], ids=["half", "noise", "empty"]
)
def test_a_damaged_file_is_a_bundle_error_that_names_it(doubling: Path, damage: Callable[[bytes], bytes]):
    doubling.write_bytes(damage(doubling.read_bytes()))
    with pytest.raises(BundleError, match=r"doubling\.onnx") as refusal:
        Network.load(doubling)
    assert one_line(refusal)


def test_a_missing_file_is_a_bundle_error_that_names_it(tmp_path):
    with pytest.raises(BundleError, match=r"absent\.onnx"):
        Network.load(tmp_path / "absent.onnx")


def test_a_port_that_numpy_cannot_hold_is_a_bundle_error(tmp_path):
    node = onnx.helper.make_node("Identity", ["words"], ["same"])
    path = write(tmp_path / "words.onnx", [node], [("words", STRING, [1])], [("same", STRING, [1])])
    with pytest.raises(BundleError, match=r"words.*tensor\(string\)"):
        Network.load(path)


def test_an_operator_that_onnxruntime_lacks_is_a_device_error(tmp_path):
    # ONNX allows Sinh of float64; onnxruntime has it for float32 only.
    node = onnx.helper.make_node("Sinh", ["x"], ["y"])
    path = write(tmp_path / "sinh.onnx", [node], [("x", DOUBLE, [2])], [("y", DOUBLE, [2])])
    with pytest.raises(DeviceError, match=r"cannot run .*sinh\.onnx") as refusal:
        Network.load(path)
    assert one_line(refusal)


def test_a_provider_that_is_not_there_is_refused_with_those_that_are(doubling):
    with pytest.raises(DeviceError, match=r"NoSuchProvider.*CPUExecutionProvider"):
        Network.load(doubling, providers=["NoSuchProvider"])


def test_missing_onnxruntime_names_the_extra(doubling, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match=r"pip install 'isthmus\[head\]'"):
        Network.load(doubling)


def test_threads_may_run_one_network_at_once(doubling):
    network, found = Network.load(doubling), {}

    def run(number: int) -> None:
        image = np.full((1, 3, 4), number, np.float32)
        found[number] = all((network.run({"image": image})["twice"] == 2 * number).all() for _ in range(20))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_side=4)), st.data())
def test_changed_share_counts_the_codes_that_differ(want, data):
    changed = data.draw(st.integers(0, want.size))
    got = want.copy()
    got.flat[:changed] ^= 1
    assert changed_share(got, want) == pytest.approx(changed / want.size)


def test_codes_of_other_shape_have_all_changed():
    assert changed_share(np.zeros(3, np.uint8), np.zeros((3, 1), np.uint8)) == 1.0


def test_empty_codes_are_equal():
    assert changed_share(np.zeros(0, np.int8), np.zeros(0, np.int8)) == 0.0


def test_codes_of_floats_are_refused():
    with pytest.raises(BundleError, match="float32"):
        changed_share(np.zeros(3, np.float32), np.zeros(3, np.uint8))


@pytest.mark.parametrize(
    ("got", "want", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.1], [1.0, 2.0], 0.05),
        ([-4.0, 1.0], [-5.0, 1.0], 0.2),
        ([0.0], [0.0], 0.0),
        ([1e-9], [0.0], np.inf),
        ([np.nan], [1.0], np.inf),
        ([np.nan], [np.nan], np.inf),
        ([np.inf], [np.inf], np.inf),
        ([1.0, 2.0], [1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_relative_error_is_the_largest_difference_over_the_largest_value(got, want, error):
    assert relative_error(np.array(got), np.array(want)) == pytest.approx(error)


def test_relative_error_does_not_wrap_in_small_integers():
    assert relative_error(np.array([200], np.uint8), np.array([250], np.uint8)) == pytest.approx(0.2)


def test_weights_that_stay_in_their_file_give_the_same(language_bundle):
    path = language_bundle.path("head.onnx")
    rows = np.arange(9)
    answers = []
    for prepacked in (True, False):
        decoder = Decoder(Network.load(path, prepacked=prepacked))
        answers.append(decoder.run(rows, decoder.new_cache(9), 0))
    np.testing.assert_allclose(*answers, atol=1e-5)
