import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from isthmus.errors import PermissionDenied, Unauthenticated
from isthmus.tail.security.scopes import Scope
from isthmus.tail.security.token import Grant, id_of

NOW = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=1)


def make(**fields):
    return Grant.make("camera-1", (Scope.STREAM,), **{"created": NOW, "expires": None, **fields})


def test_a_grant_knows_its_token_and_no_other():
    grant, text = make()
    assert grant.belongs_to(text)
    assert not grant.belongs_to(make()[1])
    assert not grant.belongs_to(text[:-1] + ("A" if text[-1] != "A" else "B"))


def test_a_token_carries_its_id_and_256_random_bits():
    grant, text = make()
    assert id_of(text) == grant.id
    assert len(text.removeprefix(f"isthmus_{grant.id}_")) == 43
    assert make()[1] != text


@given(st.text(max_size=80))
def test_any_text_has_an_id_or_none(text):
    assert id_of(text) is None


def test_nothing_of_the_token_is_in_the_grant():
    grant, text = make()
    secret = text.split("_", 2)[2]
    assert secret not in grant.model_dump_json() + repr(grant) + str(grant)
    assert grant.sha256 not in repr(grant)


def test_a_grant_for_the_scope_passes():
    make(expires=LATER)[0].check(Scope.STREAM, NOW)


def test_another_scope_is_denied():
    with pytest.raises(PermissionDenied, match=r"\(camera-1\) has the scopes stream, and this call needs admin"):
        make()[0].check(Scope.ADMIN, NOW)


@pytest.mark.parametrize("fields", [{"expires": LATER}, {}])
def test_a_token_counts_up_to_its_end(fields):
    grant = make(**fields)[0]
    if not fields:
        grant = grant.model_copy(update={"revoked": NOW})
    word = "expired on 2026-05-18 12:00 UTC" if fields else "revoked on 2026-05-17 12:00 UTC"
    with pytest.raises(Unauthenticated, match=word):
        grant.check(Scope.STREAM, LATER)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "é", "a\n"])
def test_a_name_that_is_not_plain_is_refused(name):
    with pytest.raises(ValidationError):
        Grant.make(name, (Scope.STREAM,), created=NOW, expires=None)
