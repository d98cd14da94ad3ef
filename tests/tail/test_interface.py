import numpy as np
import pytest

from isthmus.contract.manifest import Port as Described
from isthmus.devices.runtime import Port
from isthmus.errors import BundleError
from isthmus.tail.interface import tail_interface, whole_interface

SCORES = Port(name="scores", dtype=np.dtype(np.float32), shape=(None, 5))


@pytest.mark.parametrize(("rows_free", "first"), [(True, None), (False, 1)])
def test_codes_go_into_a_tail_in_the_number_of_frames_that_was_seen_to_work(tiny_bundle, rows_free, first):
    tail = tail_interface(tiny_bundle.manifest, [SCORES], rows_free=rows_free)
    assert dict(tail.inputs) == {"codes": Port(name="codes", dtype=np.dtype(np.int8), shape=(first, 4, 4, 4))}
    assert (dict(tail.outputs), tail.rows_free) == ({"scores": SCORES}, rows_free)
    assert tail.codes["codes"].bits == 4


@pytest.mark.parametrize(("rows_free", "first"), [(True, None), (False, 1)])
def test_pictures_go_into_the_whole_network_in_the_same_number(tiny_bundle, rows_free, first):
    whole = whole_interface(tiny_bundle.manifest, rows_free=rows_free)
    assert whole.inputs["image"].shape == (first, 3, 32, 32)
    assert (dict(whole.outputs), whole.rows_free, dict(whole.codes)) == ({"scores": SCORES}, rows_free, {})


def test_a_whole_network_of_a_fixed_number_of_frames_keeps_it(tiny_bundle):
    fixed = Described(name="image", datatype="FP32", shape=(1, 3, 32, 32))
    whole = whole_interface(tiny_bundle.manifest.model_copy(update={"input": fixed}), rows_free=True)
    assert (whole.inputs["image"].shape, whole.rows_free) == ((1, 3, 32, 32), False)


def test_a_data_type_that_the_wire_does_not_have_is_refused(tiny_bundle):
    strange = Described(name="image", datatype="FP8", shape=(None, 3, 32, 32))
    with pytest.raises(BundleError, match="'image' of tiny has data type 'FP8'"):
        whole_interface(tiny_bundle.manifest.model_copy(update={"input": strange}), rows_free=True)
