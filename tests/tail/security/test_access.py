import base64
import datetime
from types import SimpleNamespace

import pytest

from isthmus.errors import PermissionDenied, Unauthenticated
from isthmus.tail.security.access import UNKNOWN, Access
from isthmus.tail.security.identity import Identity
from isthmus.tail.security.scopes import ALL, Scope
from isthmus.tail.security.token import Grant

NOW = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)
NOT_KNOWN = "the token is none of this server's"


def admit(access, scope=Scope.STREAM, *, host="192.0.2.7", authorization=None, certificate=None):
    return access.admit(scope, host=host, authorization=authorization, certificate=certificate)


@pytest.fixture
def guarded():
    """Rules with one token of the scopes stream and metrics, and the token."""
    grant, text = Grant.make("camera-1", (Scope.STREAM, Scope.METRICS), created=NOW, expires=NOW + datetime.timedelta(1))
    grants, clock = {grant.id: grant}, [NOW]
    access = Access(grants=lambda: grants, now=lambda: clock[0])
    return access, text, grants, clock


# -------------------------------------------------------------------------------------------------------- nothing is asked


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "unix"])
def test_this_machine_may_do_everything_where_nothing_is_asked(host):
    assert admit(Access(), Scope.ADMIN, host=host).identity == Identity(name=host, kind="anonymous", scopes=ALL)


def test_strangers_from_elsewhere_are_served_and_change_nothing():
    assert admit(Access()).identity == Identity(name="192.0.2.7", kind="anonymous", scopes=UNKNOWN)
    for scope in ALL - UNKNOWN:
        with pytest.raises(PermissionDenied, match=f"{scope} is not for unknown callers"):
            admit(Access(), scope)


# ------------------------------------------------------------------------------------------------------------------ tokens


def test_a_token_says_who_calls(guarded):
    access, text, *_ = guarded
    identity = Identity(name="camera-1", kind="token", scopes=frozenset({Scope.STREAM, Scope.METRICS}))
    assert admit(access, authorization=f"Bearer {text}").identity == identity


def test_a_browser_sends_it_as_a_password(guarded):
    access, text, *_ = guarded
    basic = base64.b64encode(f"anybody:{text}".encode()).decode()
    assert admit(access, authorization=f"Basic {basic}").identity.name == "camera-1"


def test_loopback_needs_a_token_too(guarded):
    with pytest.raises(Unauthenticated, match="asks for a token and none came"):
        admit(guarded[0], host="127.0.0.1")


FOREIGN = "isthmus_000000000000_" + "A" * 43


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", f"Bearer {FOREIGN}", "Basic !", "Basic aaaa", "Digest x", "Bearer \xe9"]
)
def test_what_is_no_token_of_ours_is_not_known(guarded, authorization):
    with pytest.raises(Unauthenticated, match=NOT_KNOWN):
        admit(guarded[0], authorization=authorization)


def test_the_right_id_with_another_secret_is_not_known_and_tells_nothing(guarded):
    access, text, grants, _ = guarded
    [grant] = grants.values()
    grants[grant.id] = grant.model_copy(update={"revoked": NOW})
    with pytest.raises(Unauthenticated, match=NOT_KNOWN):
        admit(access, authorization=f"Bearer {text[:-4]}AAAA")


def test_early_and_full_check_agree(guarded):
    access, text, *_ = guarded
    access.check_token(Scope.STREAM, f"Bearer {text}")
    access.check_token(None, None)
    with pytest.raises(Unauthenticated):
        access.check_token(Scope.STREAM, None)
    with pytest.raises(PermissionDenied):
        access.check_token(Scope.ADMIN, f"Bearer {text}")


def test_health_is_open_with_a_wrong_token_too(guarded):
    assert admit(guarded[0], None, authorization="Bearer wrong").identity.scopes == frozenset()


def test_a_token_that_is_revoked_expired_or_gone_counts_no_more_for_those_inside(guarded):
    access, text, grants, clock = guarded
    admission = admit(access, authorization=f"Bearer {text}")
    admission.check_again()
    [grant] = grants.values()
    grants[grant.id] = grant.model_copy(update={"revoked": NOW})
    with pytest.raises(Unauthenticated, match="revoked"):
        admission.check_again()
    grants[grant.id] = grant
    clock[0] += datetime.timedelta(days=1)
    with pytest.raises(Unauthenticated, match="expired"):
        admission.check_again()
    grants.clear()
    with pytest.raises(Unauthenticated, match=NOT_KNOWN):
        admission.check_again()


# ------------------------------------------------------------------------------------------------------------ certificates


class Asking:
    """Certificates of a server that asks for those of clients."""

    asks_clients = True

    def current(self):
        return SimpleNamespace(revoked=frozenset())


@pytest.mark.parametrize(
    ("units", "scopes"),
    [((), {"stream"}), (("Factory 3",), {"stream"}), (("infer", "METRICS", "Factory 3"), {"infer", "metrics"})],
)
def test_scopes_of_a_certificate_stand_in_its_subject(make_authority, units, scopes):
    cert, _ = make_authority().issue("camera-1", units=units)
    identity = admit(Access(certificates=Asking()), Scope(min(scopes)), certificate=cert.read_bytes()).identity
    assert identity == Identity(name="camera-1", kind="certificate", scopes=frozenset(map(Scope, scopes)))


def test_a_certificate_without_the_scope_is_denied(make_authority):
    cert, _ = make_authority().issue("camera-1")
    with pytest.raises(PermissionDenied, match="certificate 'camera-1' has the scopes stream, and this call needs admin"):
        admit(Access(certificates=Asking()), Scope.ADMIN, certificate=cert.read_bytes())


def test_a_certificate_that_expires_meanwhile_counts_no_more(make_authority):
    clock = [datetime.datetime.now(datetime.UTC)]
    cert, _ = make_authority().issue("camera-1", days=2)
    admission = admit(Access(certificates=Asking(), now=lambda: clock[0]), certificate=cert.read_bytes())
    admission.check_again()
    clock[0] += datetime.timedelta(days=3)
    with pytest.raises(Unauthenticated, match="expired"):
        admission.check_again()


def test_without_a_certificate_nobody_is_known():
    with pytest.raises(Unauthenticated, match="asks for a client certificate, and none was shown"):
        admit(Access(certificates=Asking()))


def test_with_tokens_a_certificate_alone_is_not_enough(guarded, make_authority):
    cert, _ = make_authority().issue("camera-1")
    access = Access(grants=guarded[0]._grants, certificates=Asking(), now=lambda: NOW)
    with pytest.raises(Unauthenticated, match="asks for a token"):
        admit(access, certificate=cert.read_bytes())
