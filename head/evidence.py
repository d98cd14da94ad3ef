"""Pictures of the newest frames, kept on the device for an operator who asks to see one.

They are compressed in a thread of their own, which falls behind rather than hold a frame up: what it could not take is not
there to be asked for. Memory is bounded by bytes; the oldest picture goes first.
"""

import threading
from collections import OrderedDict
from typing import Self

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.limits import DEFAULT
from isthmus.contract.picture import encode_picture
from isthmus.errors import ConfigError, DeviceError
from isthmus.head.frame import Frame
from isthmus.head.mailbox import Mailbox

FORMAT, QUALITY = "jpeg", 85
"""Good enough to relabel from."""
_WAITING_MAX = 2
"""Frames that wait for compression: a camera's frame is up to 25 MB."""


class EvidenceRing:
    """Keeps pictures until newer ones need their room; safe to use from any thread.

    Args:
        bytes_max: compressed bytes kept at most.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pictures: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._arriving: Mailbox[Frame] = Mailbox(capacity=_WAITING_MAX, policy="drop-oldest")
        self._thread = threading.Thread(target=self._compress_all, name="isthmus-evidence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._arriving.close()
        self._thread.join()

    def keep(self, frame: Frame) -> None:
        """Keep the picture of a frame, if there is time to compress it."""
        self._arriving.put(frame)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def size_bytes(self) -> int:
        """Compressed bytes that are kept."""
        return self._bytes

    def find(self, sequence: int) -> wire.Evidence:
        """What the server is told of a frame; `request` is the caller's to fill in."""
        with self._lock:
            data = self._pictures.get(sequence)
            kept = list(self._pictures)
        if data is not None:
            return wire.Evidence(picture=wire.Picture(format=FORMAT, data=data))
        held = f"{len(kept)} from {kept[0]} to {kept[-1]} are kept" if kept else "none is kept yet"
        return wire.Evidence(message=f"frame {sequence} is not among the pictures kept; {held}")

    def _compress_all(self) -> None:
        for frame in self._arriving:
            try:
                data = encode_picture(frame.image, FORMAT, QUALITY)
            except (ConfigError, DeviceError):
                continue
            if len(data) <= min(self._bytes_max, DEFAULT.picture_bytes):
                self._add(frame.sequence, data)

    def _add(self, sequence: int, data: bytes) -> None:
        with self._lock:
            self._pictures[sequence] = data
            self._bytes += len(data)
            while self._bytes > self._bytes_max:
                _, oldest = self._pictures.popitem(last=False)
                self._bytes -= len(oldest)


def no_evidence(_sequence: int) -> wire.Evidence:
    """What a device says that keeps no pictures."""
    return wire.Evidence(message="this device keeps no pictures; start its agent with --evidence SIZE")
