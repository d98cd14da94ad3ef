"""The bytes of the first release: whatever is changed in the codec, they stay."""

import importlib.util
import sys
from pathlib import Path

import pytest

from isthmus.codec import predictive
from isthmus.codec.predictive import NativeCoder, SpecifiedCoder

PROGRAM = Path(__file__).parent.parent / "golden" / "codec_streams.py"
_spec = importlib.util.spec_from_file_location("codec_streams", PROGRAM)
golden = importlib.util.module_from_spec(_spec)
sys.modules["codec_streams"] = golden
_spec.loader.exec_module(golden)
STREAMS = list(golden.streams())
native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")


def test_there_are_streams_of_every_kind() -> None:
    assert len(STREAMS) == 12
    assert {stream.coding.layout.bits for stream in STREAMS} == {1, 3, 4, 5, 6, 8}
    assert sum(stream.reference is not None for stream in STREAMS) == 6


@pytest.mark.parametrize("make", [SpecifiedCoder, pytest.param(NativeCoder, marks=native)])
@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_golden_streams_are_written_and_read(stream, make) -> None:
    stream.check(make([stream.coding]))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_changed_stream_would_be_noticed(stream) -> None:
    changed = type(stream)(stream.name, stream.coding, stream.symbols ^ 1, stream.reference, stream.body)
    with pytest.raises(AssertionError, match="other bytes"):
        changed.check(predictive.coder([stream.coding]))
