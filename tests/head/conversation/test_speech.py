import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.head.conversation.speech import Speech


def decode(ids):
    """A tokenizer of bytes."""
    return bytes(ids).decode("utf-8", "replace")


def said(text, stops=()):
    speech = Speech(decode, stops)
    shown = []
    for token in text.encode():
        shown.append(speech.add(token))
        if speech.stopped is not None:
            break
    return shown, speech


@given(st.text())
def test_what_is_shown_is_the_text_in_whole_characters(text):
    shown, speech = said(text)
    assert "".join(shown) + speech.finish() == text


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_the_text_ends_before_the_first_stop_string_and_nothing_of_it_is_shown(text, stops):
    shown, speech = said(text, stops)
    whole = "".join(shown) + speech.finish()
    places = [text.find(stop) for stop in stops if stop in text]
    if speech.stopped is None:
        assert (whole, places) == (text, [])
    else:
        assert text.startswith(whole + speech.stopped)
        assert not any(stop in whole for stop in stops)


def test_only_what_may_begin_a_stop_string_is_held_back():
    shown, _ = said("to be or\nnot", ["\nUser:"])
    assert "".join(shown) == "to be or\nnot"
    shown, _ = said("to be\n", ["\nUser:"])
    assert "".join(shown) == "to be"


@pytest.mark.parametrize(("text", "first"), [("é", ""), ("a", "a")])
def test_a_part_of_a_character_is_not_shown(text, first):
    assert said(text)[0][0] == first
