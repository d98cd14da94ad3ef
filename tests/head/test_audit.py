import pytest
from structlog.testing import capture_logs

from isthmus.contract.classification import Classification
from isthmus.head.audit import AuditState, FilterAudit
from isthmus.head.record import Record


@pytest.fixture
def audit(make_tiny_bundle, with_record):
    """A function that makes an audit of one in ten dropped frames; the filter promises to miss 1 in 20."""

    def make(**options):
        record = with_record(make_tiny_bundle(filtered=0.0), missed_frames_max=0.05).manifest.filter
        return FilterAudit(record, 0.1, **options)

    return make


def answer(label="b", *, audited=False, placement="split", reason=""):
    told = None if reason else Classification(index=0, label=label, confidence=1.0)
    return Record(
        device="d", session="", sequence=0, name="", placement=placement, reason=reason, classification=told, audited=audited
    )


def test_answers_of_audited_frames_are_counted(audit):
    made = audit()
    for record in (answer(), answer("a", audited=True), answer("b", audited=True), answer("a")):
        made.write(record)
    # Two answers show something; the one of the audit stands for ten frames that were dropped.
    assert made.state == AuditState(audited=2, missed=1, missed_ratio=pytest.approx(10 / 11), alarm=False)


def test_frames_that_the_filter_did_not_judge_do_not_count(audit):
    made = audit()
    for record in (answer(placement="local"), answer(placement="offload"), answer(placement="drop", reason="link", audited=True)):
        made.write(record)
    assert made.state == AuditState()


def test_what_the_promise_explains_raises_no_alarm(audit):
    made = audit()
    # 5 of 100 may be missed; a tenth of them is audited: one miss in 200 answers is what is promised.
    for index in range(2000):
        made.write(answer(audited=index % 190 == 0))
    assert made.state.missed == 11
    assert made.state.missed_ratio == pytest.approx(0.05, abs=0.01)
    assert not made.state.alarm


def test_more_misses_than_the_promise_explains_raise_the_alarm_once_and_it_ends(audit):
    made = audit(window=300)
    with capture_logs() as logs:
        for index in range(300):
            made.write(answer(audited=index % 20 == 0))
        assert made.state.alarm
        for _ in range(300):
            made.write(answer())
    assert not made.state.alarm
    assert [line["log_level"] for line in logs] == ["warning", "warning"]
    assert "misses more than it promises" in logs[0]["event"]
    assert "keeps its promise again" in logs[1]["event"]


def test_a_filter_that_drops_everything_is_noticed_after_some_audits(audit):
    made = audit()
    for _ in range(3):
        made.write(answer(audited=True))
    assert made.facts() == {
        "filter_audited_frames": 3,
        "filter_missed_frames": 3,
        "filter_missed_ratio": 1.0,
        "filter_alarm": True,
    }
