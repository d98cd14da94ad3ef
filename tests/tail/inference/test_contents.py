import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from isthmus.contract import tensor
from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.errors import MalformedPayload
from isthmus.tail.inference import contents

ANY_ARRAY = st.sampled_from(sorted(contents.FIELDS)).flatmap(
    lambda name: arrays.arrays(tensor.DATATYPES[name], arrays.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=3))
)


@given(array=ANY_ARRAY)
def test_elements_one_by_one_give_what_they_were_listed_from(array):
    listed = wire.InferTensorContents(**{contents.FIELDS[tensor.datatype(array.dtype)]: array.ravel().tolist()})
    back = contents.unpack(listed, array.dtype, array.shape, said="x")
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


@given(name=st.sampled_from(["INT8", "INT16", "UINT8", "UINT16"]), element=st.integers(-(2**31), 2**31 - 1))
def test_an_element_is_taken_if_the_data_type_can_hold_it(name, element):
    dtype, field = tensor.DATATYPES[name], contents.FIELDS[name]
    if field == "uint_contents":
        element = abs(element)
    facts = np.iinfo(dtype)
    listed = wire.InferTensorContents(**{field: [element]})
    if facts.min <= element <= facts.max:
        assert contents.unpack(listed, dtype, (1,), said="x").tolist() == [element]
    else:
        with pytest.raises(MalformedPayload, match=f"which {name} cannot hold"):
            contents.unpack(listed, dtype, (1,), said="x")


def test_half_precision_travels_raw_only():
    with pytest.raises(MalformedPayload, match="is FP16, which travels in raw_input_contents only"):
        contents.unpack(wire.InferTensorContents(fp32_contents=[1.0]), np.dtype(np.float16), (1,), said="x")


def test_every_data_type_but_half_precision_has_a_field():
    assert set(tensor.DATATYPES) - set(contents.FIELDS) == {"FP16"}
    assert set(contents.FIELDS.values()) < {field.name for field in wire.InferTensorContents.DESCRIPTOR.fields}
