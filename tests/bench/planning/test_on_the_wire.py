"""What a plan says of bytes, beside what a real server and a real shaper count."""

import numpy as np
import pytest

from isthmus.bench import programs
from isthmus.devices import link as links
from isthmus.devices.cost import transfer
from isthmus.head.link import Link
from isthmus.head.placement import Offload, Split

FRAMES = 20
AWAY_BYTES = 50
"""HTTP/2 tells its windows now and then, and pings."""


def counted(bundle, placement, frames, server):
    """Bytes of so many frames on the wire both ways, and their payloads."""
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    payload = 0
    with (
        programs.shaper(server.match["grpc"], links.parse("unlimited")) as shaper,
        Link(bundle, [shaper.match["address"]], device_id="count") as link,
    ):
        link.wait_connected(20)
        for sequence in range(frames):
            packed = placement.pack(picture)
            packed.capture.sequence = sequence
            assert link.wait_credit(10)
            assert link.send(packed.capture).result(30).ok
            payload += packed.payload_bytes
    return programs.passed_bytes(shaper), payload


@pytest.mark.parametrize("make", [Split, lambda _bundle: Offload("jpeg", 75)], ids=["split", "offload"])
def test_bytes_of_a_frame_are_those_that_a_shaper_counts(tiny_bundle, make):
    with programs.server(tiny_bundle.folder) as server:
        # What the opening of a stream takes is in both.
        few, few_payload = counted(tiny_bundle, make(tiny_bundle), 1, server)
        many, many_payload = counted(tiny_bundle, make(tiny_bundle), 1 + FRAMES, server)
    answer = transfer.answer_bytes(port.shape for port in tiny_bundle.manifest.outputs)
    said = transfer.exchange((many_payload - few_payload) / FRAMES, answer).wire_bytes
    assert (many - few) / FRAMES == pytest.approx(said, abs=AWAY_BYTES)
