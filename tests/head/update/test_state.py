import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.head.update.state import FACTORY, REMEMBERED_MAX, UpdateState

A, B = "a" * 64, "b" * 64


def test_the_way_of_a_bundle_that_proves_itself():
    state = UpdateState().stage(A)
    assert (state.current, state.next, state.on_trial) == (FACTORY, A, False)
    state = state.begin()
    assert (state.current, state.previous, state.next, state.on_trial) == (A, FACTORY, "", True)
    assert (state.confirm().on_trial, state.confirm().previous) == (False, FACTORY)


def test_a_bundle_that_fails_gives_way_to_what_ran_and_is_remembered():
    state = UpdateState(current=A).stage(B).begin().roll_back("it fell over")
    assert (state.current, state.previous, state.on_trial, state.rejected) == (A, "", False, {B: "it fell over"})


def test_where_nothing_ran_before_there_is_the_bundle_of_the_factory():
    assert UpdateState(current=A).roll_back("by hand").current == FACTORY
    assert UpdateState().roll_back("by hand") == UpdateState()


def test_without_a_bundle_that_is_ready_nothing_begins():
    assert UpdateState(current=A).begin() == UpdateState(current=A)


def test_a_bundle_that_is_staged_after_all_is_not_rejected_any_more():
    assert UpdateState().reject(A, "it was old").stage(A).rejected == {}


def test_a_bundle_that_is_rejected_is_not_ready_any_more():
    assert UpdateState().stage(A).reject(A, "it was withdrawn").next == ""


def test_the_newest_rejections_and_tags_are_remembered():
    state = UpdateState()
    for number in range(REMEMBERED_MAX + 5):
        state = state.reject(f"{number:064x}", "no", tag=f"t{number}")
    assert (len(state.rejected), len(state.tags), f"{4:064x}" in state.rejected) == (REMEMBERED_MAX, REMEMBERED_MAX, False)


def test_another_bundle_of_the_operator_ends_the_updates_of_the_old_one():
    state = UpdateState(factory=A).stage(B).begin().set_up_anew("c" * 64)
    assert (state.current, state.previous, state.next, state.on_trial) == (FACTORY, "", "", False)


steps = st.lists(
    st.sampled_from(
        [
            lambda state: state.stage(A),
            lambda state: state.stage(B, "tag"),
            UpdateState.begin,
            UpdateState.start_again,
            UpdateState.confirm,
            lambda state: state.roll_back("x"),
            lambda state: state.reject(B, "y"),
        ]
    )
)


@given(steps)
def test_every_state_that_can_come_is_one_that_can_be_read_again(path):
    state = UpdateState()
    for step in path:
        state = step(state)
    assert UpdateState.model_validate_json(state.model_dump_json()) == state
    assert "" not in state.kept


@pytest.mark.parametrize("wrong", [{"current": ""}, {"current": "x"}, {"next": FACTORY}, {"schema_version": 2}, {"more": 1}])
def test_what_is_no_state_is_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        UpdateState.model_validate(wrong)
