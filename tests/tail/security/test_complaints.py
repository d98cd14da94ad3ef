from structlog.testing import capture_logs

from isthmus.errors import AccessError
from isthmus.tail.security.complaints import LINES_MAX, WINDOW_S, Complaints


def test_a_flood_of_refusals_is_no_flood_of_lines():
    clock = [0.0]
    complaints = Complaints(clock=lambda: clock[0])
    with capture_logs() as logs:
        for _ in range(1000):
            complaints.tell("/isthmus.v1.Tail/Stream", "ipv4:192.0.2.7:1", AccessError("no token"))
        assert len(logs) == LINES_MAX
        clock[0] += WINDOW_S
        complaints.tell("page", "192.0.2.7", AccessError("no token"))
    assert logs[-1]["left_out"] == 1000 - LINES_MAX


def test_control_characters_of_a_stranger_stay_out_of_the_log():
    with capture_logs() as logs:
        Complaints().tell("page", "192.0.2.7", "certificate 'a\nforged line' was revoked")
    assert "\n" not in logs[0]["reason"]
