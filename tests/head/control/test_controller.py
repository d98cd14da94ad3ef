import itertools

import pytest

from isthmus.errors import ConfigError
from isthmus.head.control.choice import Choice
from isthmus.head.control.controller import Controller, ControlSettings
from isthmus.head.control.worth import WorthSettings

LOCAL = Choice(placement="local", setting="local", accuracy=0.7)


@pytest.mark.parametrize(
    ("rate_bit_s", "expected"),
    [(5e6, "offload jpeg-75"), (0.3e6, "split full"), (0.08e6, "split half"), (0.02e6, "local"), (None, "local")],
)
def test_the_best_choice_that_the_link_carries_is_found(drive, rate_bit_s, expected):
    run = drive()
    run.rate_bit_s = rate_bit_s
    run.frames(60)
    assert run.frames(10).count(expected) >= 7


def test_a_slower_link_is_noticed_and_a_faster_one_too(drive):
    run = drive()
    run.rate_bit_s = 5e6
    run.frames(30)
    run.rate_bit_s = 0.3e6
    run.frames(20)
    assert "offload jpeg-75" not in run.frames(5)
    run.rate_bit_s = 5e6
    assert "offload jpeg-75" in run.frames(100)


def test_a_link_that_dies_is_left_before_any_answer_is_missed_for_long_and_taken_again(drive):
    run = drive()
    run.frames(30)
    run.rate_bit_s = None
    died = run.frames(30)
    assert died[8:] == ["local"] * 22
    run.mend(1e6)
    assert "local" not in run.frames(30)[-5:]


def test_while_the_device_answers_probes_are_sent_ever_rarer_and_none_while_one_is_under_way(drive):
    run = drive()
    run.rate_bit_s = 0.02e6
    run.frames(400)
    probes = [index for index, decision in enumerate(run.decisions) if decision.probe]
    assert {decision.probe.name for decision in run.decisions if decision.probe} == {"split half"}
    late = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert late[-1] >= 40
    assert min(late) >= 10
    run.rate_bit_s = None
    run.frames(300)
    assert sum(decision.probe is not None for decision in run.decisions[400:]) <= 2


def test_every_change_says_why_and_nothing_else_does(drive):
    run = drive()
    run.rate_bit_s = 5e6
    run.frames(20)
    run.rate_bit_s = 0.3e6
    run.frames(20)
    names = [decision.choice.name for decision in run.decisions]
    changed = [index == 0 or name != names[index - 1] for index, name in enumerate(names)]
    assert [bool(decision.reason) for decision in run.decisions] == changed
    assert all("Mbit/s" in decision.reason and "\n" not in decision.reason for decision in run.decisions if decision.reason)


def test_the_choice_at_hand_is_kept_until_another_is_better_by_the_margin():
    nearly = [
        Choice(placement="split", setting="a", accuracy=0.800, size_bytes=100),
        Choice(placement="split", setting="b", accuracy=0.803, size_bytes=100),
    ]
    keeping = Controller(nearly, deadline_s=1.0, settings=ControlSettings(margin=0.005))
    assert keeping.decide(0, 0.0, 0.0).choice.setting == "b"
    keeping.computed(nearly[1], 0.9)
    assert keeping.decide(1, 1.0, 1.0).choice.setting == "a"
    for sequence in range(2, 40):
        keeping.computed(nearly[1], 0.01)
        assert keeping.decide(sequence, sequence, sequence).choice.setting == "a"


def test_without_a_credit_the_device_answers(drive):
    assert drive().frame(may_send=False) == "local"


def test_without_a_credit_and_without_a_network_of_its_own_a_frame_waits_for_the_link():
    controller = Controller([Choice(placement="split", setting="full", accuracy=0.8, size_bytes=900)], deadline_s=0.2)
    assert controller.decide(0, 0.0, 0.0, may_send=False).choice.name == "split full"


def test_a_server_that_takes_no_pictures_gets_none(drive):
    run = drive()
    run.rate_bit_s = 20e6
    assert set(run.frames(30, may_offload=False)) == {"split full"}


def test_a_server_with_a_long_queue_is_left(drive):
    run = drive()
    run.frames(20)
    run.server_s = 0.5
    assert run.frames(40)[-5:] == ["local"] * 5


def test_a_server_that_refuses_is_left_for_a_while(drive):
    run = drive()
    run.rate_bit_s = None
    for _ in range(12):
        run.frame()
        run.controller.refused(run.sequence - 1, run.now_s, 1.0)
    assert run.decisions[-1].choice.name == "local"


def test_a_broken_connection_means_local_and_a_new_one_means_news(drive):
    run = drive()
    run.frames(20)
    run.controller.broken(run.now_s)
    assert run.frame() == "local"
    run.controller.mended(run.now_s)
    assert run.frame() != "local"


def test_a_hot_device_gives_up_accuracy_for_time(drive):
    slow = (
        Choice(placement="split", setting="full", accuracy=0.85, size_bytes=500, device_s=0.080),
        Choice(placement="offload", setting="jpeg-75", accuracy=0.80, size_bytes=500, device_s=0.001),
    )
    assert drive(slow, deadline_s=0.5).frames(20)[-1] == "split full"
    hot = drive(slow, deadline_s=0.5)
    assert hot.frames(20, thrift=2)[-1] == "offload jpeg-75"


def test_a_network_that_is_slower_than_the_camera_counts_only_for_the_frames_that_it_answers(drive):
    slow = (
        Choice(placement="local", setting="local", accuracy=0.90, device_s=0.35),
        Choice(placement="split", setting="full", accuracy=0.60, size_bytes=500, device_s=0.005),
    )
    assert drive(slow, deadline_s=0.5).frames(20)[-1] == "split full"


def test_who_has_a_standby_dares_more(drive):
    risky = (LOCAL, Choice(placement="split", setting="full", accuracy=0.75, size_bytes=2400, device_s=0.005))
    alone, standing_by = drive(risky), drive(risky, settings=ControlSettings(worth=WorthSettings(standby=True)))
    for run in (alone, standing_by):
        run.rate_bit_s = 0.16e6
        run.frames(50)
    sent = [sum(decision.choice.sends for decision in run.decisions) for run in (alone, standing_by)]
    assert sent[0] < sent[1]


@pytest.mark.parametrize(
    ("choices", "deadline_s", "words"),
    [([], 0.2, "needs a choice"), ([LOCAL, LOCAL], 0.2, "one local"), ([LOCAL], 0.0, "above 0")],
)
def test_what_nothing_can_be_chosen_of_is_refused(choices, deadline_s, words):
    with pytest.raises(ConfigError, match=words):
        Controller(choices, deadline_s=deadline_s)
