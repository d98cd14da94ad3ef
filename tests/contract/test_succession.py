import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import key_file
from isthmus.contract.key import PrivateKey, PublicKey
from isthmus.contract.succession import Succession, check, read, state
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import ConfigError, IsthmusError, SignatureError

MakeKey = Callable[[int], PrivateKey]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "signature"
ORIGIN = Path("new.succession")


def trusting(key: PrivateKey) -> TrustedKeys:
    return TrustedKeys({key.public.id: key.public})


def written(folder: Path, data: bytes) -> Path:
    (folder / "new.succession").write_bytes(data)
    return folder / "new.succession"


def test_who_trusts_the_old_key_learns_the_new_one(make_key: MakeKey, tmp_path: Path) -> None:
    statement = read(written(tmp_path, state(make_key(1), make_key(2).public).encode()))
    assert check(statement, trusting(make_key(1)), ORIGIN) == make_key(2).public


def test_who_does_not_trust_the_old_key_learns_nothing(make_key: MakeKey) -> None:
    with pytest.raises(SignatureError, match=f"stated by {make_key(1).public.id}, trusted is {make_key(3).public.id}"):
        check(state(make_key(1), make_key(2).public), trusting(make_key(3)), ORIGIN)


@pytest.mark.parametrize("field", ["old_key_id", "new_public_key", "signature"])
def test_a_field_of_another_statement_is_found(make_key: MakeKey, field: str) -> None:
    other = state(make_key(3), make_key(4).public)
    mixed = state(make_key(1), make_key(2).public).model_copy(update={field: getattr(other, field)})
    trusted = TrustedKeys({key.id: key for key in (make_key(1).public, make_key(3).public)})
    with pytest.raises(SignatureError, match="damaged or forged"):
        check(mixed, trusted, ORIGIN)


def test_a_new_key_under_which_anyone_can_sign_is_refused(make_key: MakeKey) -> None:
    with pytest.raises(SignatureError, match="under which anyone can sign"):
        check(state(make_key(1), PublicKey(bytes(32))), trusting(make_key(1)), ORIGIN)


def test_the_golden_statement_is_made_and_taken() -> None:
    old, new = (PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes(range(first, first + 32)))) for first in (0, 32))
    assert state(old, new.public).encode() == (GOLDEN / "maker2.succession").read_bytes()
    [trusted] = key_file.read_public(GOLDEN / "maker.pub")
    assert check(read(GOLDEN / "maker2.succession"), TrustedKeys({trusted.id: trusted}), ORIGIN) == new.public


@pytest.mark.parametrize(
    "changed",
    [
        {"schema_version": 2},
        {"old_key_id": "x"},
        {"new_public_key": "AAAA"},
        {"signature": ""},
        {"more\n": 1},
        {"signature": None},
    ],
    ids=str,
)
def test_a_malformed_statement_is_one_line(make_key: MakeKey, tmp_path: Path, changed: dict[str, Any]) -> None:
    raw = {**json.loads(state(make_key(1), make_key(2).public).encode()), **changed}
    with pytest.raises(ConfigError, match="not a succession this version reads") as caught:
        read(written(tmp_path, json.dumps(raw).encode()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 4000, b" " * 5000])
def test_what_is_no_statement_is_told(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ConfigError):
        read(written(tmp_path, data))
    with pytest.raises(ConfigError, match="there is no succession"):
        read(tmp_path / "nowhere")


@given(data=st.data())
def test_changed_bytes_never_give_another_key(
    make_key: MakeKey, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(state(make_key(1), make_key(2).public).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        statement: Succession = read(written(tmp_path_factory.mktemp("s"), bytes(raw)))
        assert check(statement, trusting(make_key(1)), ORIGIN) == make_key(2).public
    except IsthmusError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
