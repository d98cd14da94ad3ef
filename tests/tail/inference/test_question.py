"""Every way in which a request can be wrong, against a real server over a socket."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import tensor
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.devices.runtime import Port
from isthmus.errors import RemoteProtocolError
from isthmus.tail.inference import question
from isthmus.tail.interface import Interface
from isthmus.tail.settings import ServerSettings

CODES = np.zeros((2, 4, 4, 4), np.int8)


def shape(*axes):
    def change(request):
        request.inputs[0].shape[:] = axes

    return change


def codes(array):
    def change(request):
        request.inputs[0].shape[:] = array.shape
        request.raw_input_contents[0] = array.tobytes()

    return change


def listed(field, elements):
    """The codes one by one, in some field, instead of raw."""

    def change(request):
        del request.raw_input_contents[:]
        getattr(request.inputs[0].contents, field).extend(elements)

    return change


def field(name, value):
    return lambda request: setattr(request.inputs[0], name, value)


def whole(array):
    """The whole network with one picture of that value."""

    def change(request):
        request.model_name = "tiny_whole"
        request.inputs[0].name, request.inputs[0].datatype = "image", "FP32"
        codes(array)(request)

    return change


def parameter(name, **value):
    return lambda request: request.parameters[name].MergeFrom(wire.InferParameter(**value))


def of_input(name):
    return lambda request: request.inputs[0].parameters[name].MergeFrom(wire.InferParameter(string_param="x"))


def of_output(name):
    return lambda request: request.outputs.add(name="scores").parameters[name].MergeFrom(wire.InferParameter(int64_param=1))


PICTURE = np.zeros((1, 3, 32, 32), np.float32)
IN_RANGE, BELOW, ABOVE = CODES.copy(), CODES.copy(), CODES.copy()
BELOW[1, 0, 0, 0], ABOVE[1, 3, 3, 3] = -9, 8
NAN, INFINITE = PICTURE.copy(), PICTURE.copy()
NAN[0, 2, 31, 31], INFINITE[0, 0, 0, 0] = np.nan, -np.inf

WRONG = {
    "negative axis": (shape(-2, 4, 4, 4), "has shape [-2, 4, 4, 4], the model takes [any, 4, 4, 4]"),
    "two negative axes": (shape(2, -4, -4, 4), "has shape [2, -4, -4, 4]"),
    "no frames": (shape(0, 4, 4, 4), "has shape [0, 4, 4, 4]"),
    "empty axis": (shape(2, 0, 4, 4), "has shape [2, 0, 4, 4]"),
    "product beyond 64 bits": (shape(2**62, 2**62, 4, 4), "has shape [4611686018427387904, 4611686018427387904, 4, 4]"),
    "product that wraps to the right size": (shape(2**32, 2**32, 8, 16), "has shape"),
    "largest axis": (shape(2**63 - 1, 4, 4, 4), "has 9223372036854775807 frames, at most 64 are taken at once"),
    "a hundred thousand axes": (shape(*[1] * 100_000), "has 100000 axes, the model takes [any, 4, 4, 4]"),
    "no axes": (shape(), "has 0 axes"),
    "without the frame axis": (shape(4, 4, 4), "has 3 axes"),
    "another shape of the same size": (shape(1, 8, 4, 4), "has shape [1, 8, 4, 4]"),
    "more frames than are taken": (codes(np.zeros((65, 4, 4, 4), np.int8)), "has 65 frames, at most 64"),
    "fewer bytes than the shape": (shape(3, 4, 4, 4), "carries 128 bytes, INT8[3, 4, 4, 4] has 192"),
    "more bytes than the shape": (shape(1, 4, 4, 4), "carries 128 bytes, INT8[1, 4, 4, 4] has 64"),
    "no bytes": (lambda r: r.raw_input_contents.__setitem__(0, b""), "carries 0 bytes"),
    "unknown data type": (field("datatype", "INT4"), "has data type 'INT4', the model takes INT8"),
    "data type in lower case": (field("datatype", "int8"), "has data type 'int8'"),
    "another data type of the same size": (field("datatype", "UINT8"), "has data type 'UINT8'"),
    "endless data type": (field("datatype", "INT\n" * 10_000), "has data type 'INT\\nINT"),
    "BYTES with a length beyond the end": (
        lambda r: (field("datatype", "BYTES")(r), r.raw_input_contents.__setitem__(0, b"\xff\xff\xff\xff")),
        "has data type 'BYTES'",
    ),
    "BF16": (field("datatype", "BF16"), "has data type 'BF16'"),
    "fewer raw contents than inputs": (lambda r: r.raw_input_contents.pop(), "neither contents nor raw_input_contents"),
    "more raw contents than inputs": (lambda r: r.raw_input_contents.append(b"x"), "2 raw_input_contents came for 1 inputs"),
    "contents and raw contents": (
        lambda r: r.inputs[0].contents.int_contents.append(0),
        "input 'codes' has contents and raw_input_contents; give one of them",
    ),
    "no inputs": (
        lambda r: (r.inputs.pop(), r.raw_input_contents.pop()),
        "the inputs are none; the model has 'codes', each once",
    ),
    "another input": (field("name", "image"), "the inputs are 'image'; the model has 'codes', each once"),
    "the same input twice": (
        lambda r: (r.inputs.append(r.inputs[0]), r.raw_input_contents.append(CODES.tobytes())),
        "the inputs are 'codes', 'codes'",
    ),
    "an input too many": (lambda r: r.inputs.add(name="more"), "the inputs are 'codes', 'more'"),
    "ten thousand inputs": (lambda r: [r.inputs.add(name="n" * 99) for _ in range(10_000)], "10001 inputs came, the model has 1"),
    "an endless name": (field("name", "n\n" * 100_000), "the inputs are 'n\\nn\\n"),
    "a code too low": (codes(BELOW), "has codes of -9..0, 4 bits allow -8..7"),
    "a code too high": (codes(ABOVE), "has codes of 0..8, 4 bits allow -8..7"),
    "NaN": (whole(NAN), "tensor 'image' has NaN or infinity, which this server refuses"),
    "infinity": (whole(INFINITE), "tensor 'image' has NaN or infinity"),
    "elements of another field": (
        listed("uint_contents", [0] * 128),
        "has elements in uint_contents; they belong into int_contents",
    ),
    "fewer elements than the shape": (listed("int_contents", [0] * 127), "carries 127 elements, INT8[2, 4, 4, 4] has 128"),
    "more elements than the shape": (listed("int_contents", [0] * 129), "carries 129 elements"),
    "elements that would wrap": (listed("int_contents", [256] * 128), "has elements of 256..256, which INT8 cannot hold"),
    "elements out of range": (listed("int_contents", [8] * 128), "has codes of 8..8"),
    "an unknown output": (lambda r: r.outputs.add(name="boxes"), "outputs 'boxes' are asked for; the model has 'scores'"),
    "an output twice": (lambda r: [r.outputs.add(name="scores") for _ in range(2)], "2 outputs are asked for, the model has 1"),
    "shared memory for an input": (of_input("shared_memory_region"), "input 'codes' has the parameter 'shared_memory_region'"),
    "shared memory for an output": (of_output("shared_memory_region"), "shares no memory with clients"),
    "ranked classes": (of_output("classification"), "this server does not rank classes"),
    "a negative timeout": (parameter("timeout", int64_param=-1), "the parameter 'timeout' is a number of microseconds"),
    "a timeout in words": (parameter("timeout", string_param="1s"), "the parameter 'timeout' is a number"),
    "an endless id": (lambda r: setattr(r, "id", "i" * 513), "the id has 513 bytes, at most 512 are taken"),
    "no model": (lambda r: setattr(r, "model_name", ""), "no model is named"),
}


@pytest.fixture(scope="module")
def base(ask):
    """A sound request of two frames; the table changes copies of it."""

    def make():
        return ask("tiny", codes=CODES)

    return make


async def test_the_request_that_the_wrong_ones_vary_is_sound(client, base, outputs):
    assert outputs(await client.infer(base()))["scores"].shape == (2, 5)


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
async def test_a_wrong_request_is_refused_in_one_line_and_the_next_one_is_answered(client, base, change, message):
    request = base()
    change(request)
    status, details = await client.refused(request)
    assert status == "INVALID_ARGUMENT"
    assert message in details
    assert "\n" not in details
    assert len(details) < 400
    assert (await client.infer(base())).model_name == "tiny"


UNKNOWN = {
    "model": ("other", "", "bundle 'other' is not served here; this server has 'tiny'"),
    "version": ("tiny", "2", "bundle 'tiny' version '2' is not served here; this server has 'tiny'"),
    "version of the whole network": ("tiny_whole", "2", "bundle 'tiny' version '2' is not served here"),
    "path": ("../../etc/passwd", "", "bundle '../../etc/passwd' is not served here"),
    "line": ("a\nb", "", "bundle 'a\\nb' is not served here"),
    "endless name": ("n" * 100_000, "v" * 100_000, "is not served here"),
}


@pytest.mark.parametrize(("name", "version", "message"), UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_not_served_is_not_found(client, ask, name, version, message):
    status, details = await client.refused(ask(name, version=version, codes=CODES))
    assert status == "NOT_FOUND"
    assert message in details
    assert len(details) < 400


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
async def test_a_timeout_of_zero_is_none(client, base, kind):
    request = base()
    setattr(request.parameters["timeout"], kind, 0)
    assert (await client.infer(request)).model_name == "tiny"


async def test_parameters_that_mean_nothing_here_are_passed_over(client, base):
    request = base()
    parameter("sequence_id", int64_param=7)(request)
    parameter("priority", uint64_param=1)(request)
    request.inputs[0].contents.SetInParent()
    assert (await client.infer(request)).model_name == "tiny"


async def test_only_the_outputs_that_are_asked_for_come_back(client, base, outputs):
    request = base()
    request.outputs.add(name="scores")
    assert list(outputs(await client.infer(request))) == ["scores"]


async def test_infinity_is_let_in_where_the_server_is_told_so_and_may_hide_in_a_plausible_answer(serve, client_of, base, outputs):
    client, request = client_of(await serve(refuse_nonfinite=False)), base()
    whole(INFINITE)(request)
    assert np.isfinite(outputs(await client.infer(request))["scores"]).all()


async def test_several_frames_are_refused_where_a_tail_takes_one(serve, client_of, ask, make_tiny_bundle):
    client = client_of(await serve(bundle=make_tiny_bundle(batch="1")))
    assert await client.refused(ask("tiny", codes=CODES)) == (
        "INVALID_ARGUMENT",
        "input 'codes' has shape [2, 4, 4, 4], the model takes [1, 4, 4, 4]",
    )


def interface(dtype, *axes):
    return Interface(inputs={"x": Port(name="x", dtype=np.dtype(dtype), shape=axes)}, outputs={}, rows_free=True, codes={})


ANY_SHAPE = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(name=st.sampled_from(sorted(tensor.DATATYPES)), axes=ANY_SHAPE, seed=st.integers(0, 2**32 - 1))
def test_raw_bytes_come_out_as_they_went_in(name, axes, seed, ask):
    dtype = tensor.DATATYPES[name]
    data = np.random.default_rng(seed).integers(0, 2, size=axes).astype(dtype)
    model, request = interface(dtype, *[None] * len(axes)), ask("m", x=data)
    asked = question.check(request, model, ServerSettings())
    back = question.unpack(request, asked, model, refuse_nonfinite=True)["x"]
    assert (asked.rows, back.dtype, back.shape, back.tobytes()) == (axes[0], dtype, data.shape, data.tobytes())
    assert not back.flags.writeable


@given(axes=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8), data=st.binary(max_size=64))
def test_no_shape_makes_anything_else_than_a_refusal_or_an_array_of_it(axes, data):
    model = interface(np.uint8, *[None] * len(axes))
    request = wire.ModelInferRequest(raw_input_contents=[data])
    request.inputs.add(name="x", datatype="UINT8", shape=axes)
    try:
        asked = question.check(request, model, ServerSettings())
        back = question.unpack(request, asked, model, refuse_nonfinite=True)["x"]
    except RemoteProtocolError:
        return
    assert list(back.shape) == axes
    assert back.tobytes() == data


def test_inputs_of_different_numbers_of_frames_are_refused(ask):
    port = {name: Port(name=name, dtype=np.dtype(np.int8), shape=(None, 2)) for name in "xy"}
    model = Interface(inputs=port, outputs={}, rows_free=True, codes={})
    request = ask("m", x=np.zeros((1, 2), np.int8), y=np.zeros((2, 2), np.int8))
    with pytest.raises(RemoteProtocolError, match="the inputs have 1 frames of 'x', 2 frames of 'y'"):
        question.check(request, model, ServerSettings())


def test_a_free_axis_longer_than_a_message_is_refused_before_anything_is_made(ask):
    request = ask("m", x=np.zeros(1, np.uint8))
    request.inputs[0].shape[:] = [1, 2**40, 2**40]
    with pytest.raises(RemoteProtocolError, match="which no message has room for"):
        question.check(request, interface(np.uint8, None, None, None), ServerSettings())


def test_a_boolean_that_is_neither_true_nor_false_is_refused(ask):
    request = ask("m", x=np.zeros(2, np.bool_))
    request.raw_input_contents[0] = b"\0\2"
    model = interface(np.bool_, None)
    with pytest.raises(RemoteProtocolError, match="BOOL byte of 2"):
        question.unpack(request, question.check(request, model, ServerSettings()), model, refuse_nonfinite=True)
