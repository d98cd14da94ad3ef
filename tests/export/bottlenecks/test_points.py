import pytest

from isthmus.export.bottlenecks import points
from isthmus.export.bottlenecks.bottleneck import Bottleneck


def one(channels, *, nested=True, explained=()):
    return Bottleneck(encoder=None, decoder=None, shape=(channels, 2), bits=4, is_nested=nested, explained=explained)


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ([16], {"full": (16,), "half": (8,), "quarter": (4,)}),
        ([7], {"full": (7,), "half": (3,), "quarter": (1,)}),
        ([2], {"full": (2,), "half": (1,)}),
        ([1], {"full": (1,)}),
        ([8, 1], {"full": (8, 1), "half": (4, 1), "quarter": (2, 1)}),
    ],
)
def test_nested_channels_make_points_of_all_half_and_a_quarter(widths, expected):
    assert {point.name: point.channels for point in points.of([one(width) for width in widths])} == expected


def test_other_bottlenecks_have_one_point():
    found = points.of([one(16, nested=False), one(16)])
    assert [(point.name, point.channels) for point in found] == [("full", (16, 16))]


def test_a_point_keeps_what_the_worst_tensor_keeps():
    found = points.of([one(2, explained=(0.6, 0.9)), one(2, explained=(0.5, 1.0))])
    assert [point.explained_variance for point in found] == [0.9, 0.5]
