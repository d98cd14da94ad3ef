import numpy as np
import onnx
import pytest

from isthmus.contract.bundle_writing import write_bundle
from isthmus.contract.filter import FILTER
from isthmus.devices.filtering import FilterNetwork
from isthmus.errors import BundleError


@pytest.fixture
def with_filter(make_tiny_bundle, tmp_path):
    """A function that gives a filtered bundle another filter.onnx."""

    def make(content):
        bundle = make_tiny_bundle(filtered=0.0)
        (tmp_path / FILTER).write_bytes(content)
        kept = {name: bundle.path(name) for name in bundle.manifest.files}
        return write_bundle(tmp_path / "bundle", bundle.manifest, {**kept, FILTER: tmp_path / FILTER})

    return make


def network(takes, gives, body):
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> f ({takes}) => ({gives}) {{{body}}}'
    ).SerializeToString()


def test_codes_are_scored(make_tiny_bundle):
    codes = np.random.default_rng(0).integers(-8, 8, (3, 4, 4, 4)).astype(np.int8)
    scores = FilterNetwork(make_tiny_bundle(filtered=0.0)).score([codes])
    np.testing.assert_allclose(scores, codes.mean(axis=(1, 2, 3)), rtol=1e-6)


MEAN = "f = Cast <to = 1> (codes) g = Flatten (f) score = ReduceMean <axes = [1], keepdims = {keep}> (g)"
FITS = "int8[b, 4, 4, 4] codes"


@pytest.mark.parametrize(
    ("takes", "gives", "keep", "message"),
    [
        (
            "int8[b, 4, 4] codes",
            "float[b] score",
            0,
            r"takes codes int8\[any, 4, 4\], the boundary is codes int8\[any, 4, 4, 4\]",
        ),
        (FITS, "float[b, 1] score", 1, r"gives score float32\[any, 1\], it has to give score float32\[any\]"),
    ],
)
def test_a_filter_with_other_ports_is_refused(with_filter, takes, gives, keep, message):
    with pytest.raises(BundleError, match=message):
        FilterNetwork(with_filter(network(takes, gives, MEAN.format(keep=keep))))


def test_garbage_is_refused_in_one_line(with_filter):
    with pytest.raises(BundleError, match=r"filter\.onnx cannot be loaded") as refused:
        FilterNetwork(with_filter(b"not a network"))
    assert "\n" not in str(refused.value)


def test_a_bundle_without_a_filter_has_none_to_run(tiny_bundle):
    with pytest.raises(BundleError, match=r"has no filter\.onnx"):
        FilterNetwork(tiny_bundle)
