"""Rivals that lose something: JPEG and WebP of the tiled planes, H.265 of the picture. Judged by the answers they leave.

A rival is *equal* where its score is at most `TOLERANCE` below that of the exact codes, on the same frames.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from benchmarks.codec.rivals import optional, tile, untile

TOLERANCE = 0.01
QUALITIES = (30, 50, 70, 80, 90, 95, 100)
FORMATS = {"JPEG": (".jpg", cv2.IMWRITE_JPEG_QUALITY), "WebP": (".webp", cv2.IMWRITE_WEBP_QUALITY)}
RATE_FACTORS = (18, 24, 30, 36, 42, 48, 51)
SCALES = (1.0, 0.5)
GOP_MAX = 10_000
"""One key frame, the first."""

Score = Callable[[np.ndarray], float]
"""Symbols uint8[frame, channel, row, column] -> score of the answers that they give."""


def planes(symbols: np.ndarray, bits: int, score: Score) -> list[dict[str, Any]]:
    """Bytes and score of lossy pictures of the planes, by format and quality."""
    highest = (1 << bits) - 1
    rows = []
    for name, (suffix, option) in FORMATS.items():
        for quality in QUALITIES:
            sizes, seen = [], []
            for one in symbols:
                picture = (tile(one).astype(np.float32) * (255 / highest)).round().astype(np.uint8)
                data = cv2.imencode(suffix, picture, [option, quality])[1]
                sizes.append(len(data))
                back = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) * (highest / 255)
                seen.append(untile(back.round().astype(np.uint8), one.shape))
            rows.append({"format": name, "quality": quality, "bytes": float(np.mean(sizes)), "score": score(np.stack(seen))})
    return rows


def cheapest(rows: Sequence[dict[str, Any]], wanted: float) -> float | None:
    """Fewest bytes of a row that is equal to the score `wanted`; None if none is."""
    sizes = [row["bytes"] for row in rows if row["score"] >= wanted - TOLERANCE]
    return min(sizes, default=None)


def has_h265() -> bool:
    """Whether PyAV is here with x265."""
    av = optional("av")
    return av is not None and "libx265" in av.codec.codecs_available


def film(frames: Sequence[np.ndarray], size: tuple[int, int], score: Callable[[list[np.ndarray]], float]) -> list[dict[str, Any]]:
    """Bytes a frame (without the first) and score of H.265, low delay, by rate factor and scale.

    Args:
        frames: uint8[row, column, 3] BGR.
        size: columns and rows that frames are resized to at scale 1, about the network's input.
        score: of the decoded frames.
    """
    rows = []
    for scale in SCALES:
        columns, rows_count = (int(side * scale) // 2 * 2 for side in size)
        small = [cv2.resize(frame, (columns, rows_count), interpolation=cv2.INTER_AREA) for frame in frames]
        for factor in RATE_FACTORS:
            sizes, decoded = _through_h265(small, factor)
            rows.append({"factor": factor, "scale": scale, "bytes": float(np.mean(sizes[1:])), "score": score(decoded)})
    return rows


def _through_h265(frames: Sequence[np.ndarray], factor: int) -> tuple[list[int], list[np.ndarray]]:
    av = optional("av")
    assert av is not None
    rows, columns = frames[0].shape[:2]
    store = io.BytesIO()
    options = {
        "crf": str(factor),
        "preset": "medium",
        "tune": "zerolatency",
        "x265-params": f"keyint={GOP_MAX}:scenecut=0:bframes=0:log-level=none:pools=1:frame-threads=1:info=0",
    }
    with av.open(store, "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
        sizes = []
        for frame in [*frames, None]:
            picture = None if frame is None else av.VideoFrame.from_ndarray(frame, format="bgr24")
            for packet in stream.encode(picture):
                sizes.append(packet.size)
                container.mux(packet)
    store.seek(0)
    with av.open(store, "r", format="hevc") as container:
        decoded = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    if not len(decoded) == len(sizes) == len(frames):
        raise RuntimeError(f"H.265 gave {len(sizes)} packets and {len(decoded)} pictures for {len(frames)} frames")
    return sizes, decoded
