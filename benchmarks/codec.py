"""The codec beside general compressors and lossless picture formats, on the codes of trained bottlenecks.

    python benchmarks/codec.py CODES.npz [--json PATH] [--frames 100]
    python benchmarks/codec.py --bundle B.isthmus --train PICTURES --test PICTURES [--video FILE ...]

CODES.npz holds arrays int8 or uint8[frame, channel, row, column] named `NAME/train`, `NAME/test` and, for `temporal`,
`NAME/VIDEO`, frames in order; NAME ends with `b` and the bits, as in `c12b4`. Tables are trained on `train`, and for `temporal`
on pairs of all videos but the one that is measured (on made-up pairs where there is one only). Whatever is not installed (brotli,
constriction) is left out. Bytes are means over `test`; every stream is decoded and compared. Times are the fastest of several
rounds, for a machine is never faster than it is.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zstandard

from isthmus.codec.codec import Codec
from isthmus.codec.payload import Mode
from isthmus.codec.planes import layout
from isthmus.codec.predictive import IS_FAST, TensorCoding, coder
from isthmus.codec.symbols import from_codes
from isthmus.codec.tables import CodecTables
from isthmus.codec.training import train_tables
from isthmus.contract.boundary import Boundary, CodeTensor, OperatingPoint

ROUNDS = 60
Encode = Callable[[np.ndarray], int]
"""Symbols uint8[channel, row, column] -> bytes."""


@dataclass(frozen=True, slots=True)
class Material:
    """Codes of one bottleneck."""

    name: str
    tensor: CodeTensor
    train: np.ndarray
    test: np.ndarray
    videos: dict[str, np.ndarray]

    @property
    def boundary(self) -> Boundary:
        """One tensor."""
        return Boundary(tensors=(self.tensor,))

    @property
    def points(self) -> list[OperatingPoint]:
        """One point with all channels."""
        return [OperatingPoint(name="full", channels=(self.tensor.channels,))]

    def symbols(self, codes: np.ndarray) -> np.ndarray:
        """Codes counted from the lowest one on."""
        return (codes.astype(np.int16) - self.tensor.lowest).astype(np.uint8)


def read_codes(path: Path) -> list[Material]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    found = []
    for name in dict.fromkeys(name.partition("/")[0] for name in arrays):
        parts = {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(f"{name}/")}
        train, test = parts.pop("train"), parts.pop("test")
        found.append(make_material(name, int(re.findall(r"b([1-8])", name)[-1]), train, test, parts))
    return found


def make_material(name: str, bits: int, train: np.ndarray, test: np.ndarray, videos: dict[str, np.ndarray]) -> Material:
    tensor = CodeTensor(name="codes", shape=train.shape[1:], bits=bits, signed=train.dtype == np.int8)
    return Material(name, tensor, train, test, videos)


def read_bundle(path: Path, train: Path, test: Path, videos: list[Path]) -> list[Material]:
    """Run the head of a bundle on pictures and videos; its boundary must be one tensor."""
    from isthmus.contract.bundle import open_bundle
    from isthmus.head.model import DeviceModel
    from isthmus.head.source import open_source

    bundle = open_bundle(path)
    (tensor,) = bundle.manifest.boundary.tensors
    model = DeviceModel(bundle, "head.onnx")

    def codes(place: Path) -> np.ndarray:
        with open_source(str(place)) as source:
            return np.stack([model.compute(frame.image).arrays[0] for frame in source])

    moving = {video.stem: codes(video) for video in videos}
    return [make_material(bundle.manifest.id, tensor.bits, codes(train), codes(test), moving)]


def tile(symbols: np.ndarray) -> np.ndarray:
    """All channels in one picture, side by side and one below the other."""
    channels, rows, columns = symbols.shape
    across = int(np.ceil(np.sqrt(channels)))
    down = -(-channels // across)
    tiled = np.zeros((down * across, rows, columns), np.uint8)
    tiled[:channels] = symbols
    return tiled.reshape(down, across, rows, columns).transpose(0, 2, 1, 3).reshape(down * rows, across * columns)


def packed(symbols: np.ndarray, bits: int) -> bytes:
    """Two symbols a byte where they fit."""
    flat = symbols.ravel()
    if bits > 4:
        return flat.tobytes()
    even = np.append(flat, np.zeros(len(flat) % 2, np.uint8))
    return (even[::2] << 4 | even[1::2]).tobytes()


def shorter(compress: Callable[[bytes], bytes], bits: int) -> Encode:
    """The better of one and of two symbols a byte."""
    return lambda symbols: min(len(compress(symbols.tobytes())), len(compress(packed(symbols, bits))))


def entropy_bytes(symbols: np.ndarray) -> float:
    """What an ideal coder needs that knows the share of every symbol in every channel of this very frame."""
    total = 0.0
    for channel in symbols:
        counts = np.bincount(channel.ravel())
        some = counts[counts > 0]
        total += float((some * np.log2(some.sum() / some)).sum())
    return total / 8


def static_channels(train: np.ndarray, bits: int) -> Encode | None:
    """One fixed table for each channel, coded by constriction's range coder."""
    try:
        stream = import_module("constriction").stream
    except ImportError:
        return None
    counts = [np.bincount(channel.ravel(), minlength=1 << bits) + 0.02 for channel in train.swapaxes(0, 1)]
    models = [stream.model.Categorical((row / row.sum()).astype(np.float32), perfect=False) for row in counts]

    def encode(symbols: np.ndarray) -> int:
        encoder = stream.queue.RangeEncoder()
        for channel, model in zip(symbols, models, strict=True):
            encoder.encode(channel.ravel().astype(np.int32), model)
        return 4 * len(encoder.get_compressed())

    return encode


def rivals(material: Material) -> dict[str, Encode]:
    bits = material.tensor.bits
    found: dict[str, Encode | None] = {
        "zstd 3": shorter(zstandard.ZstdCompressor(level=3, write_content_size=False).compress, bits),
        "zstd 19": shorter(zstandard.ZstdCompressor(level=19, write_content_size=False).compress, bits),
        "PNG": lambda symbols: len(cv2.imencode(".png", tile(symbols), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]),
        "WebP lossless": lambda symbols: len(cv2.imencode(".webp", tile(symbols), [cv2.IMWRITE_WEBP_QUALITY, 101])[1]),
        "constriction, table per channel": static_channels(material.symbols(material.train), bits),
    }
    try:
        brotli: Any = import_module("brotli")
        found["brotli 11"] = shorter(lambda data: brotli.compress(data, quality=11), bits)
    except ImportError:
        pass
    return {name: encode for name, encode in found.items() if encode is not None}


def fastest_us(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best * 1e6


def still_rows(material: Material, tables: CodecTables, frames: int) -> list[dict[str, Any]]:
    """Every way to send a frame that stands alone."""
    test = [material.symbols(codes) for codes in material.test[:frames]]
    sizes = {name: float(np.mean([encode(one) for one in test])) for name, encode in rivals(material).items()}
    sizes["entropy per channel and frame"] = float(np.mean([entropy_bytes(one) for one in test]))
    sizes["raw"] = material.tensor.size() * material.tensor.bits / 8
    codec = Codec(material.boundary, material.points, [Mode.INTRA], tables=tables)
    payloads = [codec.encode([codes]) for codes in material.test[:frames]]
    assert all((codec.decode(data)[0] == codes).all() for data, codes in zip(payloads, material.test, strict=False))
    sizes["intra"] = float(np.mean([len(data) for data in payloads]))
    base = sizes["zstd 19"]
    return [
        {"codes": material.name, "on": "test", "mode": name, "bytes": round(size, 1), "of zstd 19": round(size / base, 3)}
        for name, size in sorted(sizes.items(), key=lambda item: item[1])
    ]


def video_rows(material: Material, tables: CodecTables, name: str) -> list[dict[str, Any]]:
    """Every way to send the frames of a video but the first."""
    video = material.videos[name]
    mask = (1 << material.tensor.bits) - 1
    compressor = zstandard.ZstdCompressor(level=3, write_content_size=False)
    symbols = material.symbols(video)
    differences = [((now - before) & mask).astype(np.uint8) for now, before in zip(symbols[1:], symbols, strict=False)]
    codec = Codec(material.boundary, material.points, [Mode.TEMPORAL, Mode.INTRA], tables=tables)
    payloads = [codec.encode([now], reference=[before]) for now, before in zip(video[1:], video, strict=False)]
    for data, now, before in zip(payloads, video[1:], video, strict=False):
        assert (codec.decode(data, reference=[before])[0] == now).all()
    sizes = {
        "zstd 3 of differences": float(np.mean([len(compressor.compress(one.tobytes())) for one in differences])),
        "intra": float(np.mean([len(codec.encode([now])) for now in video[1:]])),
        "temporal": float(np.mean([len(data) for data in payloads])),
    }
    base = sizes["zstd 3 of differences"]
    share = float(np.mean(symbols[1:] == symbols[:-1]))
    return [
        {
            "codes": material.name,
            "on": f"{name} ({share:.0%} of codes stay)",
            "mode": mode,
            "bytes": round(size, 1),
            "of zstd 3 of differences": round(size / base, 3),
        }
        for mode, size in sizes.items()
    ]


def time_rows(material: Material, tables: CodecTables) -> list[dict[str, Any]]:
    """What coding takes: the coder alone, and the whole way from codes to payload."""
    point = material.points[0]
    rows = []
    frames = next(iter(material.videos.values()), material.test)
    now, before = frames[1], frames[0]
    for mode in (Mode.INTRA, Mode.TEMPORAL):
        codec = Codec(material.boundary, material.points, [mode], tables=tables)
        made = coder(tables.coding((0, mode), material.boundary, point))
        flat, flat_before = (from_codes([codes], material.boundary, point) for codes in (now, before))
        reference = [before] if mode is Mode.TEMPORAL else None
        body, data = memoryview(made.encode(flat, flat_before)), codec.encode([now], reference=reference)
        calls = {
            "encode": lambda: made.encode(flat, flat_before),  # noqa: B023 - called before the loop goes on
            "decode": lambda: made.decode(body, flat_before),  # noqa: B023
            "payload": lambda: codec.encode([now], reference=reference),  # noqa: B023
            "codes": lambda: codec.decode(data, reference=reference),  # noqa: B023
        }
        spent = {name: fastest_us(call) for name, call in calls.items()}
        ten_thousand = 10_000 / flat.size
        rows.append(
            {
                "codes": f"{material.name} {mode.name.lower()}",
                "size": flat.size,
                **{f"{name} us": round(taken, 1) for name, taken in spent.items()},
                **{f"{name} us/10k": round(spent[name] * ten_thousand) for name in ("encode", "decode")},
            }
        )
    return rows


def binding_us(tables: CodecTables) -> tuple[float, float]:
    """Encoding and decoding a single symbol: what a call costs before there is work."""
    table = next(found[0] for (_, mode), found in tables.tables.items() if mode is Mode.INTRA)
    (first, *_) = table.channels
    tensor = CodeTensor(name="one", shape=(1, 1, 1), bits=table.bits)
    alone = type(table)(
        bits=table.bits,
        alphabet_bits=table.alphabet_bits,
        fractions=table.fractions,
        temporal=False,
        channels=(first,),
        thresholds=table.thresholds,
        frequencies=table.frequencies,
    )
    made = coder([TensorCoding(layout(tensor, 1), alone)])
    symbol = np.zeros(1, np.uint8)
    body = memoryview(made.encode(symbol, None))
    return fastest_us(lambda: made.encode(symbol, None)), fastest_us(lambda: made.decode(body, None))


def pairs_of(material: Material, left_out: str) -> list[tuple[tuple[np.ndarray], tuple[np.ndarray]]] | None:
    """Frames and the ones before, of all videos but one."""
    others = [video for name, video in material.videos.items() if name != left_out]
    return [((now,), (before,)) for video in others for now, before in zip(video[1:], video, strict=False)] or None


def print_rows(rows: list[dict[str, Any]]) -> None:
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")
    print(flush=True)


def measure(material: Material, frames: int) -> list[dict[str, Any]]:
    started = time.perf_counter()
    stills = [(codes,) for codes in material.train]

    def train(left_out: str) -> CodecTables:
        return train_tables(stills, material.boundary, material.points, pairs=pairs_of(material, left_out))

    tables = train("")
    sizes = {mode.name.lower(): found[0].words().nbytes for (_, mode), found in tables.tables.items()}
    print(f"{material.name}: {material.tensor.shape}, {len(stills)} frames, tables of {sizes} bytes trained", end=" ")
    print(f"in {time.perf_counter() - started:.1f} s\n")
    parts = [still_rows(material, tables, frames), time_rows(material, tables)]
    parts += [video_rows(material, train(name), name) for name in material.videos]
    for rows in parts:
        print_rows(rows)
    encode_us, decode_us = binding_us(tables)
    print(f"a call with a single symbol: encode {encode_us:.1f} us, decode {decode_us:.1f} us\n")
    return [row for rows in parts for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codes", nargs="?", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--video", type=Path, action="append", default=[])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not IS_FAST:
        parser.error("the C core is not built; install isthmus where there is a C compiler")
    if options.codes:
        materials = read_codes(options.codes)
    elif options.bundle and options.train and options.test:
        materials = read_bundle(options.bundle, options.train, options.test, options.video)
    else:
        parser.error("name CODES.npz, or --bundle, --train and --test")
    rows = [row for material in materials for row in measure(material, options.frames)]
    if options.json:
        options.json.write_text(json.dumps({"meta": {"frames": options.frames}, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
