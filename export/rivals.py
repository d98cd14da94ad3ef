"""What a split is compared with: the whole network on the device, and pictures by three codecs into the unsplit network.

JPEG and WebP are what the agent sends as well. AVIF is not, for its encoder is slow on small devices; it says how far pictures
can go.
"""

import cv2
import numpy as np

from isthmus.contract.picture import Picture, decode_picture, encode_picture
from isthmus.errors import ExportError, UsageError

LOCAL = "local"
QUALITIES = {"jpeg": (10, 20, 35, 50, 75, 90), "webp": (5, 15, 30, 50, 75, 90), "avif": (10, 20, 35, 50, 65, 80)}
"""Of each codec, 1 to 100."""
KNOWN = (*QUALITIES, LOCAL)
AVIF_SPEED = 6
"""Of 0 to 10; slower ones save a few percent, and no device would wait for them."""
PIXELS_MAX = 1 << 28


def parse(names: str) -> tuple[str, ...]:
    """Read `jpeg,webp,local`.

    Raises:
        UsageError: a rival that does not exist.
        ExportError: OpenCV cannot write AVIF here.
    """
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in chosen:
        if name not in KNOWN:
            raise UsageError(f"there is no rival {name!r}; known: {', '.join(KNOWN)}")
    if "avif" in chosen and not cv2.haveImageWriter(".avif"):
        raise ExportError("OpenCV was built without AVIF here; leave the rival avif out")
    return chosen


def sent(codec: str, picture: Picture, quality: int) -> tuple[int, Picture]:
    """Bytes of a compressed picture, and what arrives.

    Args:
        codec: a key of `QUALITIES`.
        picture: uint8[row, column, 3].
        quality: 1 to 100.
    """
    if codec == "avif":
        return _avif(picture, quality)
    data = encode_picture(picture, codec, quality)
    return len(data), decode_picture(data, codec, pixels_max=PIXELS_MAX)


def _avif(picture: Picture, quality: int) -> tuple[int, Picture]:
    data = cv2.imencode(".avif", picture, [cv2.IMWRITE_AVIF_SPEED, AVIF_SPEED, cv2.IMWRITE_AVIF_QUALITY, quality])[1]
    return len(data), np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
