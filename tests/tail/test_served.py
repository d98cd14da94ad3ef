from types import SimpleNamespace
from typing import Any, cast

import pytest

from isthmus.codec.payload import Mode
from isthmus.contract.boundary import Boundary, CodeTensor
from isthmus.tail.served import Served


@pytest.mark.parametrize(
    ("codes", "mode", "aside"),
    [(60_000, Mode.INTRA, False), (70_000, Mode.INTRA, True), (70_000, Mode.RAW, False), (600_000, Mode.ZSTD, True)],
)
def test_a_frame_leaves_the_event_loop_by_its_size_and_by_what_its_mode_costs(codes, mode, aside):
    boundary = Boundary(tensors=(CodeTensor(name="codes", shape=(10, codes // 10), bits=8),))
    model = SimpleNamespace(bundle=SimpleNamespace(manifest=SimpleNamespace(boundary=boundary)))
    served = Served(name="tiny", version="1", model=cast("Any", model), batcher=cast("Any", None))
    assert served.decodes_aside(bytes([mode])) is aside
