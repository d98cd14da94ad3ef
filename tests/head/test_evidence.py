import numpy as np
import pytest

from isthmus.contract.generated import split_pb2 as wire
from isthmus.contract.picture import decode_picture
from isthmus.errors import FrameNotHeld, TailUnavailable
from isthmus.head.agent import Agent
from isthmus.head.evidence import EvidenceRing, no_evidence
from isthmus.head.frame import Frame
from isthmus.head.inquiry import fetch_frame
from isthmus.head.ledger import Ledger
from isthmus.head.placement import Split
from isthmus.head.rig import Rig


def frame(sequence, value=0):
    return Frame(sequence=sequence, image=np.full((64, 64, 3), value, np.uint8), captured_s=0.0)


def filled(ring, frames):
    """Keep frames one by one, so that none gives way to a newer one."""
    with ring:
        for one in frames:
            ring.keep(one)
            while ring._arriving.taken < ring._arriving.offered:
                pass
    return ring


def test_a_picture_that_is_kept_is_found():
    found = filled(EvidenceRing(100_000), [frame(1, 10), frame(2, 200)]).find(2)
    assert int(decode_picture(found.picture.data, found.picture.format, pixels_max=10_000).mean()) == 200


def test_the_oldest_pictures_give_way():
    size = filled(EvidenceRing(100_000), [frame(0)]).size_bytes
    ring = filled(EvidenceRing(3 * size), [frame(sequence) for sequence in range(10)])
    assert (len(ring), ring.size_bytes <= 3 * size) == (3, True)
    assert ring.find(6).message == "frame 6 is not among the pictures kept; 3 from 7 to 9 are kept"
    assert all(ring.find(sequence).HasField("picture") for sequence in (7, 8, 9))


def test_a_picture_larger_than_the_room_is_not_kept():
    ring = filled(EvidenceRing(10), [frame(1)])
    assert ring.find(1) == wire.Evidence(message="frame 1 is not among the pictures kept; none is kept yet")


def test_an_operator_sees_the_frame_that_was_answered(serve, connect, pictures, tiny_bundle):
    tail, ledger = serve(), Ledger(tiny_bundle.manifest, device_id="camera", deadline_s=None, sinks=[])
    with EvidenceRing(1_000_000) as ring:
        link = connect(tail.address, evidence=ring.find)
        placement = Split(tiny_bundle)
        rig = Rig(placement=placement, ledger=ledger, link=link)
        Agent(source=pictures(3), rig=rig, evidence=ring, drop_policy="wait").run()
        while not len(ring):
            pass
        kept = next(iter(ring._pictures))
        fetched = fetch_frame(tail.address, wire.FetchFrameRequest(device_id="camera", sequence=kept), timeout_s=10)
        shown = decode_picture(fetched.data, fetched.format, pixels_max=10_000)
        sent = np.random.default_rng(kept).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
        assert np.corrcoef(shown.mean(axis=2).ravel(), sent.mean(axis=2).ravel())[0, 1] > 0.8
        with pytest.raises(FrameNotHeld, match="device 'camera' holds no picture of frame 99: frame 99 is not among"):
            fetch_frame(tail.address, wire.FetchFrameRequest(device_id="camera", sequence=99), timeout_s=10)


def test_a_device_that_keeps_nothing_says_how_it_would(serve, connect):
    tail = serve()
    connect(tail.address)
    with pytest.raises(FrameNotHeld, match="keeps no pictures; start its agent with --evidence SIZE"):
        fetch_frame(tail.address, wire.FetchFrameRequest(device_id="camera"), timeout_s=10)
    assert not no_evidence(1).HasField("picture")


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(TailUnavailable):
        fetch_frame("127.0.0.1:1", wire.FetchFrameRequest(device_id="camera"), timeout_s=2)
