"""Tables of the codec, learned at export from the codes of pictures to train on: `codec.npz` of the bundle.

The codes are those of the float head. An int8 head gives other codes in 20 to 30% of all places, by one step; by these tables its
payloads are within 0.1% of what tables of its own give (MobileNetV2 at two depths), so whether it is shipped, which is decided
last, changes nothing here. Pairs for `temporal` are made up from the pictures: a folder of photos has no moments before.

A table grows with the channels, and the time to learn it with channels and codes. What is far too wide to be a bottleneck goes
without: `raw` and `zstd` take every boundary.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.codec.table import Table
from isthmus.codec.tables import TABLE_MODES, CodecTables, Key
from isthmus.codec.training import train_tables
from isthmus.contract.boundary import Boundary, OperatingPoint, point_size
from isthmus.contract.prepare import Preparation, prepare
from isthmus.export.bottlenecks.halves import CodedHalves
from isthmus.export.graph import cost
from isthmus.export.graph.session import Session
from isthmus.export.samples import Samples

LEARNED_CODES = 1 << 20
"""Codes to learn from: twice as many made payloads of unseen pictures less than 0.1% shorter."""
PICTURES = (16, 1024)
"""Fewest pictures, whatever their codes (0.7% longer payloads than with hundreds), and most."""
HEAD_FLOPS = 1e11
"""Arithmetic of the head that goes into it: some seconds on one core; at least twice the fewest pictures all the same."""
CHANNELS_MAX, CODES_MAX = 256, 200_000
"""Channels and codes of the widest point that gets tables; some 20 s on one core, and a table of 85 kB."""
GOLDEN_CODES = 1 << 17
"""Codes of the golden frames of a point and mode: where the C core is missing, each takes some 20 us to check, three times."""


def learned(
    coded: CodedHalves,
    points: Sequence[OperatingPoint],
    data: Samples,
    preparation: Preparation,
    *,
    on_step: Callable[[str], None] = lambda _words: None,
) -> CodecTables:
    """Learn the tables of every operating point.

    Args:
        coded: with the float head.
        points: of the bundle.
        data: pictures; a bounded number of them is run through the head, one at a time.
        preparation: how they become its input.
        on_step: told in words what is being done, and which points go without.

    Returns:
        Tables of the points that are no wider than `CHANNELS_MAX` channels and `CODES_MAX` codes.
    """
    narrow = [index for index, point in enumerate(points) if _is_narrow(coded.boundary, point)]
    for point in (one for index, one in enumerate(points) if index not in narrow):
        width = f"{sum(point.channels)} channels, {point_size(coded.boundary, point)} codes"
        on_step(
            f"no codec tables for point {point.name}: {width}; up to {CHANNELS_MAX} and {CODES_MAX} are learned. It crosses as "
            "raw or zstd"
        )
    if not narrow:
        return CodecTables()
    pictures = _chosen(coded, max(point_size(coded.boundary, points[index]) for index in narrow), data)
    on_step(f"learning the codec's tables on {len(pictures)} pictures")
    codes = _codes(coded, pictures, preparation)
    tables: dict[Key, tuple[Table, ...]] = {}
    for index in narrow:
        trained = train_tables(codes, coded.boundary, [points[index]])
        tables |= {(index, mode): found for (_, mode), found in trained.tables.items()}
    return CodecTables(tables)


def _is_narrow(boundary: Boundary, point: OperatingPoint) -> bool:
    return sum(point.channels) <= CHANNELS_MAX and point_size(boundary, point) <= CODES_MAX


def _chosen(coded: CodedHalves, size: int, data: Samples) -> Sequence[np.ndarray]:
    """As many pictures as are worth it, spread evenly: folders come class by class."""
    fewest, most = PICTURES
    affordable = max(2 * fewest, int(HEAD_FLOPS / max(1, cost.of_graph(coded.head.graph).flops)))
    count = min(len(data), most, affordable, max(fewest, LEARNED_CODES // size))
    return data.part(np.linspace(0, len(data) - 1, count).round().astype(int)).pictures


def _codes(coded: CodedHalves, pictures: Iterable[np.ndarray], preparation: Preparation) -> list[tuple[np.ndarray, ...]]:
    """Codes of one picture after the other; only they are kept."""
    head = Session(coded.head)
    answers = (head.run({head.inputs[0]: prepare(picture, preparation)}) for picture in pictures)
    return [tuple(answer[tensor.name][0] for tensor in coded.boundary.tensors) for answer in answers]


def golden_payloads(
    codes: Sequence[np.ndarray], boundary: Boundary, points: Sequence[OperatingPoint], tables: CodecTables
) -> dict[tuple[Mode, int, int], bytes]:
    """The payloads of golden frames in every mode that their point has.

    Modes with tables are shown on as many frames as a machine without the C core checks in bearable time, at least one.

    Args:
        codes: of each boundary tensor, int8 or uint8[frame, *shape].
        boundary: what crosses.
        points: of the bundle.
        tables: of the bundle.

    Returns:
        (mode, frame, point) -> payload; a temporal one builds on the frame before its own, the first one on the last.
    """
    payloads = {}
    count = len(codes[0])
    for index, point in enumerate(points):
        few = min(count, max(1, GOLDEN_CODES // point_size(boundary, point)))
        shown = dict.fromkeys((Mode.RAW, Mode.ZSTD), count) | dict.fromkeys(
            (mode for mode in TABLE_MODES if (index, mode) in tables.tables), few
        )
        for mode, frames in shown.items():
            codec = Codec(boundary, points, [mode], tables=tables)
            for frame in range(frames):
                before = codec.kept([array[frame - 1] for array in codes], point=index) if mode is Mode.TEMPORAL else None
                payloads[mode, frame, index] = codec.encode([array[frame] for array in codes], point=index, reference=before)
    return payloads
