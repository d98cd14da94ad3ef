import datetime
import json
import stat
import threading

import pytest

from isthmus.errors import ConfigError
from isthmus.tail.security import token_file
from isthmus.tail.security.scopes import Scope
from isthmus.tail.security.token import Grant

NOW = datetime.datetime(2026, 5, 17, 12, tzinfo=datetime.UTC)


def grant(name="camera-1"):
    return Grant.make(name, (Scope.STREAM, Scope.INFER), created=NOW, expires=None)[0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.jsonl"


def test_what_is_added_is_read_in_its_order(path):
    grants = [grant("b"), grant("a")]
    for one in grants:
        token_file.add(path, one)
    assert list(token_file.read(path).values()) == grants


def test_the_file_is_for_its_owner_alone(path):
    token_file.add(path, grant())
    token_file.add(path, grant())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_has_the_documented_fields(path):
    token_file.add(path, grant())
    fields = json.loads(path.read_text())
    assert list(fields) == ["id", "name", "scopes", "sha256", "created", "expires", "revoked"]
    assert (fields["created"], fields["scopes"]) == ("2026-05-17T12:00:00Z", ["stream", "infer"])


def test_revoking_by_name_takes_all_of_the_name_back_and_keeps_their_lines(path):
    ours, other = [grant(), grant()], grant("other")
    for one in (*ours, other):
        token_file.add(path, one)
    assert {one.id for one in token_file.revoke(path, "camera-1", NOW)} == {one.id for one in ours}
    assert [one.revoked for one in token_file.read(path).values()] == [NOW, NOW, None]


def test_revoking_by_id_takes_one(path):
    ours = [grant(), grant()]
    for one in ours:
        token_file.add(path, one)
    assert [one.id for one in token_file.revoke(path, ours[1].id, NOW)] == [ours[1].id]
    assert token_file.revoke(path, ours[1].id, NOW) == []


def test_revoking_nobody_is_an_error(path):
    token_file.add(path, grant())
    with pytest.raises(ConfigError, match="no token of id or name 'nobody'"):
        token_file.revoke(path, "nobody", NOW)


LINE = {"id": "0" * 12, "name": "a", "scopes": ["stream"], "sha256": "0" * 64, "created": "2026-05-17T12:00:00Z"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expire": "2026-05-17T12:00:00Z"}, "expire: Extra inputs"),
        ({"expires": "2026-05-17T12:00:00"}, "expires: Input should have timezone info"),
        ({"scopes": ["everything"]}, "scopes.0: Input should be"),
        ({"scopes": []}, "scopes: Tuple should have at least 1 item"),
        ({"sha256": "secret"}, "sha256: String should match"),
        ({"id": "X"}, "id: String should match"),
    ],
)
def test_a_field_that_is_wrong_spoils_the_file(path, change, words):
    path.write_text(json.dumps({**LINE, "id": "1" * 12}) + "\n\n" + json.dumps({**LINE, **change}) + "\n")
    with pytest.raises(ConfigError, match=f"line 3: {words}") as caught:
        token_file.read(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "\x00\xff", json.dumps(LINE)[:-1]])
def test_a_line_that_is_no_grant_spoils_the_file(path, text):
    path.write_text(text)
    with pytest.raises(ConfigError, match="line 1: "):
        token_file.read(path)


def test_an_id_that_comes_twice_spoils_the_file(path):
    path.write_text(f"{json.dumps(LINE)}\n" * 2)
    with pytest.raises(ConfigError, match="line 2: id 000000000000 is there already"):
        token_file.read(path)


def test_a_missing_file_names_the_command_that_makes_one(path):
    with pytest.raises(ConfigError, match="isthmus tokens new"):
        token_file.read(path)


def test_writers_at_the_same_time_lose_nothing(path):
    token_file.add(path, grant())
    threads = [threading.Thread(target=token_file.add, args=(path, grant(f"camera-{index}"))) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(token_file.read(path)) == 13
