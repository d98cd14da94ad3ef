"""Where an ONNX file says that its weights lie outside of it, read without the onnx package.

onnxruntime follows these paths, and what it refuses of them differs between its versions. So they are looked at before it sees
the file: they must be plain names of files beside the network, and of a bundle's network those whose digests the manifest has.

An ONNX file is one protobuf message. The walk goes only into the fields that lead to tensors (onnx.proto, IR version 3 and later)
and steps over everything else, so that its time grows with the number of nodes and not with the weights.
"""

import mmap
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from isthmus.errors import BundleError

_MODEL, _GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _FUNCTION, _TRAINING, _ENTRY = range(9)
_INSIDE = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _TENSOR: {13: _ENTRY},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
}
"""Message -> number of a field -> the message in it."""
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types."""
_DEPTH_MAX = 100
"""As protobuf's own parsers."""


def check(path: Path, listed: Collection[str] | None = None) -> None:
    """Refuse a network whose weights lie where they should not.

    Args:
        path: of the ONNX file.
        listed: names beside it that may be used; None is every file there.

    Raises:
        BundleError: it is no ONNX file, or names a file that is not beside it, is a link, or is not listed.
        OSError: it cannot be read.
    """
    for location in locations(path):
        named = PurePosixPath(location)
        told = f"network {path} takes weights from {location[:120]!r}"
        if named.is_absolute() or ".." in named.parts or "\\" in location or "\0" in location:
            raise BundleError(f"{told}, which is not the name of a file beside it")
        if listed is not None and str(named) not in listed:
            raise BundleError(f"{told}, which the manifest does not name; export the bundle again")
        beside = path.parent / named
        if beside.is_symlink() or not beside.resolve().is_relative_to(path.parent.resolve()):
            raise BundleError(f"{told}, which is a link or lies outside of its folder")
        # onnxruntime has names of its own that mean an address in memory.
        if not beside.is_file():
            raise BundleError(f"{told}, which is missing")


def locations(path: Path) -> set[str]:
    """The paths that tensors of an ONNX file name, as they stand there.

    Raises:
        BundleError: it is no ONNX file.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        if not stream.seek(0, 2):
            return set()
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return set(_walk(data, 0, len(data), _MODEL, 0))
            except (IndexError, ValueError) as error:
                raise BundleError(f"network {path} cannot be loaded: it is not an ONNX file ({error})") from error


def _walk(data: mmap.mmap, start: int, end: int, kind: int, depth: int) -> Iterator[str]:
    """The locations in one message."""
    if depth > _DEPTH_MAX:
        raise ValueError(f"messages nested deeper than {_DEPTH_MAX}")
    inside = _INSIDE[kind]
    for number, first, last in _fields(data, start, end):
        message = inside.get(number)
        if message == _ENTRY:
            entry = {field: data[begin:stop] for field, begin, stop in _fields(data, first, last)}
            if entry.get(_ENTRY_KEY) == b"location":
                yield entry.get(_ENTRY_VALUE, b"").decode()
        elif message is not None:
            yield from _walk(data, first, last, message, depth + 1)


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of every field that holds bytes."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, at = _varint(data, at)
        elif wire_type == _BYTES:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field ends behind its message")
            yield number, at, at + size
            at += size
        elif wire_type in (_FIXED64, _FIXED32):
            at += 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
    if at != end:
        raise ValueError("a field ends behind its message")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
