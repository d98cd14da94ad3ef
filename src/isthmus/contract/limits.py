"""What one end accepts from the other.

A limit is checked against a declared size before anything of that size is allocated.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Maxima accepted from a peer. Defaults suit cameras up to 4K and bottlenecks up to a few hundred kilobytes."""

    message_bytes: int = 8 << 20
    """Whole gRPC message. gRPC's own default is 4 MiB; a 4K JPEG of high quality needs up to 6."""

    picture_bytes: int = 6 << 20
    """One encoded picture."""

    picture_pixels: int = 3840 * 2160
    """Decoded size of one picture: a 6 MiB PNG can declare gigapixels."""

    captures_in_flight: int = 3
    """Credits of one stream. With more, a slow reader lets seconds of frames queue; with one, the link idles."""

    references_kept: int = 4
    """Decoded frames the server keeps per session: more than can be in flight, so an acknowledged one is never gone."""

    rows: int = 512
    """Rows of hidden states or token ids in one step of a conversation: of the widest models 4 MiB as fp16."""

    steps_in_flight: int = 4
    """Unanswered steps of a conversation: while one stretch of a prompt is computed, the next ones are on their way."""

    tensors: int = 64
    """Arrays in one message."""

    tensor_axes: int = 8
    """Axes of one array; onnxruntime itself knows no common network with more."""

    text_bytes: int = 512
    """Device ids, bundle names and the like."""


DEFAULT = Limits()
