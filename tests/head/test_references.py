"""Which frame the next one builds on: by itself, and through a real server."""

import numpy as np
import pytest

from isthmus.codec import predictive
from isthmus.codec.payload import Mode, mode_of
from isthmus.contract.generated import split_pb2 as wire
from isthmus.errors import TailUnavailable
from isthmus.head.placement import Local, Split
from isthmus.head.references import Dialogue, References

WAIT_S = 20
native = pytest.mark.skipif(not predictive.IS_FAST, reason="the C core is not built; install isthmus where there is a C compiler")


def codes(number):
    return (np.array([number]),)


@pytest.fixture
def references():
    """Frames 1, 2 and 3 were sent, 2 was acknowledged."""
    references = References()
    for number in (1, 2, 3):
        references.sent(number, codes(number))
    references.answered(2, decoded=True)
    return references


def test_before_an_answer_there_is_no_reference():
    references = References()
    references.sent(1, codes(1))
    assert references.latest is None


def test_the_latest_acknowledged_frame_is_the_reference(references):
    assert (references.latest.sequence, references.latest.codes) == (2, codes(2))
    references.answered(3, decoded=True)
    assert references.latest.sequence == 3


def test_a_late_acknowledgement_does_not_step_back(references):
    references.answered(1, decoded=True)
    assert references.latest.sequence == 2


def test_a_frame_that_was_not_decoded_asks_for_a_key_frame(references):
    references.answered(3, decoded=False)
    assert references.latest is None


@pytest.mark.parametrize("decoded", [True, False])
def test_answers_to_pictures_do_not_matter(references, decoded):
    references.answered(17, decoded=decoded)
    assert references.latest.sequence == 2


@pytest.mark.parametrize(("held", "latest"), [((), None), ((2,), 2), ((1, 2, 3), 3), ((1,), 1), ((99,), None)])
def test_after_a_resume_the_latest_frame_that_both_ends_know_serves(references, held, latest):
    references.resumed(held)
    assert (references.latest and references.latest.sequence) == latest


def test_frames_that_nobody_answers_are_forgotten(references):
    for number in range(10, 100):
        references.sent(number, codes(number))
    references.answered(10, decoded=True)
    assert references.latest.sequence == 2


# ------------------------------------------------------------------------------------------------------- with a server


class Camera:
    """Sends pictures of a scene in which little moves."""

    def __init__(self, bundle, link, picture):
        self.split, self.local, self.link, self.picture, self.sequence = Split(bundle), Local(bundle), link, picture, 0

    def send(self):
        """Returns the payload's mode and the reference it names, after the answer was found to be right."""
        self.sequence += 1
        self.picture[:4, self.sequence % 32] ^= 255
        assert self.link.wait_credit(WAIT_S)
        outgoing = self.split.pack(self.picture, self.link.dialogue)
        outgoing.capture.sequence = self.sequence
        reply = self.link.send(outgoing.capture, outgoing.codes).result(WAIT_S)
        assert reply.ok, reply
        wanted = self.local.answer(self.picture).outputs["scores"]
        np.testing.assert_allclose(reply.outputs["scores"], wanted, atol=1e-5)
        capture = outgoing.capture
        return Mode(capture.codes[0]), capture.reference if capture.HasField("reference") else None


@pytest.fixture
def camera(serve, connect, shaped, coded_bundle, picture):
    shaper = shaped(serve(coded_bundle).address)
    camera = Camera(coded_bundle, connect(shaper.address, bundle=coded_bundle), picture)
    camera.shaper = shaper
    return camera


@native
def test_a_session_starts_with_a_key_frame_and_goes_on_with_the_frame_before(camera):
    assert [camera.send() for _ in range(4)] == [
        (Mode.INTRA, None),
        (Mode.TEMPORAL, 1),
        (Mode.TEMPORAL, 2),
        (Mode.TEMPORAL, 3),
    ]


@native
def test_a_resumed_session_needs_no_key_frame(camera):
    for _ in range(3):
        camera.send()
    camera.shaper.set_up(False)
    lost = camera.link.send(wire.Capture(sequence=4, codes=b"lost"))
    camera.shaper.reset()
    with pytest.raises(TailUnavailable):
        lost.result(WAIT_S)
    camera.shaper.set_up(True)
    camera.sequence = 4
    assert camera.send() == (Mode.TEMPORAL, 3)
    assert camera.link.reconnects == 1


@native
def test_a_server_that_lost_the_session_gets_a_key_frame(serve, connect, coded_bundle, picture):
    tail = serve(coded_bundle)
    camera = Camera(coded_bundle, connect(tail.address, bundle=coded_bundle), picture)
    assert [camera.send()[0] for _ in range(2)] == [Mode.INTRA, Mode.TEMPORAL]
    tail.stop()
    serve(coded_bundle, grpc_port=tail.port)
    assert [camera.send() for _ in range(2)] == [(Mode.INTRA, None), (Mode.TEMPORAL, 3)]


@native
def test_a_missing_reference_is_told_and_the_next_frame_is_a_key_frame(camera):
    camera.send()
    lost = Dialogue(modes=camera.link.dialogue.modes, reference=camera.link.dialogue.reference)
    outgoing = camera.split.pack(camera.picture, lost)
    outgoing.capture.sequence, outgoing.capture.reference = 50, 40
    reply = camera.link.send(outgoing.capture, outgoing.codes).result(WAIT_S)
    assert (reply.ok, reply.status) == (False, "key_frame_needed")
    camera.sequence = 50
    assert [camera.send()[0] for _ in range(2)] == [Mode.INTRA, Mode.TEMPORAL]


@native
def test_a_wrong_reference_gives_no_picture_and_the_next_frame_is_a_key_frame(camera):
    for _ in range(2):
        camera.send()
    outgoing = camera.split.pack(camera.picture, camera.link.dialogue)
    assert outgoing.capture.reference == 2
    outgoing.capture.sequence, outgoing.capture.reference = 50, 1
    reply = camera.link.send(outgoing.capture, outgoing.codes).result(WAIT_S)
    assert (reply.status, "another reference" in reply.message) == ("invalid", True)
    camera.sequence = 50
    assert camera.send()[0] == Mode.INTRA


@native
def test_a_server_that_speaks_less_gets_what_it_speaks(peer, coded_bundle, connect, picture):
    def script(requests):
        next(requests)
        yield wire.FromTail(opened=wire.Opened(session=bytes(16), allowed=3, modes=[wire.MODE_ZSTD, wire.MODE_RAW]))
        list(requests)

    link = connect(peer(script), bundle=coded_bundle)
    split = Split(coded_bundle)
    assert split.pack(picture).capture.codes[0] == Mode.INTRA
    assert split.pack(picture, link.dialogue).capture.codes[0] in (Mode.ZSTD, Mode.RAW)


def test_without_a_link_there_is_no_dialogue(serve, connect, coded_bundle, picture):
    tail = serve(coded_bundle)
    link = connect(tail.address, bundle=coded_bundle)
    assert link.dialogue is not None
    link.close()
    assert link.dialogue is None
    with pytest.raises(TailUnavailable):
        link.send(wire.Capture(sequence=1))


@native
def test_operating_points_build_on_each_others_frames(coded_bundle, serve, connect, picture):
    link = connect(serve(coded_bundle).address, bundle=coded_bundle)
    senders = Split(coded_bundle).at_every_point()
    modes = []
    for sequence in range(8):
        sender = senders[sequence // 2 % 2]
        outgoing = sender.pack(picture, link.dialogue)
        outgoing.capture.sequence = sequence
        assert link.send(outgoing.capture, outgoing.codes).result(WAIT_S).ok
        modes.append((sender.setting, mode_of(outgoing.capture.codes)))
    assert {setting for setting, mode in modes if mode == Mode.TEMPORAL} == {"all", "half"}
