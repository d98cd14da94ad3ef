import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract import key_file, signature, succession
from isthmus.contract.key import PrivateKey
from isthmus.contract.signature import PREFIX, Signature, SignatureFile, check, parse, sign, with_signature
from isthmus.contract.trust import TrustedKeys
from isthmus.errors import SignatureError

MakeKey = Callable[[int], PrivateKey]
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "signature"
ORIGIN = Path("b.isthmus")
MANIFEST = b'{"id": "digits"}'


def trusting(*keys: PrivateKey) -> TrustedKeys:
    return TrustedKeys({key.public.id: key.public for key in keys})


def signed(*keys: PrivateKey, manifest: bytes = MANIFEST) -> SignatureFile:
    return SignatureFile(signatures=tuple(sign(manifest, key) for key in keys))


# -------------------------------------------------------------------------------------------------------- good and bad


@given(manifest=st.binary(max_size=200))
def test_a_signed_manifest_is_good_for_who_trusts_the_key(make_key: MakeKey, manifest: bytes) -> None:
    held = parse(signed(make_key(1), manifest=manifest).encode(), ORIGIN)
    assert check(manifest, held, trusting(make_key(1)), ORIGIN) == make_key(1).public.id


def test_one_trusted_signature_among_others_is_enough(make_key: MakeKey) -> None:
    held = signed(make_key(1), make_key(2), make_key(3))
    assert check(MANIFEST, held, trusting(make_key(9), make_key(2)), ORIGIN) == make_key(2).public.id


def test_a_bad_signature_beside_a_good_one_does_not_matter(make_key: MakeKey) -> None:
    held = SignatureFile(signatures=(sign(b"other", make_key(1)), sign(MANIFEST, make_key(2))))
    assert check(MANIFEST, held, trusting(make_key(1), make_key(2)), ORIGIN) == make_key(2).public.id


def test_an_unsigned_bundle_is_told_with_what_to_do(make_key: MakeKey) -> None:
    with pytest.raises(
        SignatureError, match=f"is not signed; a signature by {make_key(1).public.id} is needed.*isthmus keys sign"
    ):
        check(MANIFEST, None, trusting(make_key(1)), ORIGIN)


def test_a_stranger_s_signature_is_told_with_both_ids(make_key: MakeKey) -> None:
    with pytest.raises(SignatureError, match=f"signed by {make_key(1).public.id}, trusted is {make_key(2).public.id}"):
        check(MANIFEST, signed(make_key(1)), trusting(make_key(2)), ORIGIN)


def test_a_right_signature_over_other_bytes_is_refused(make_key: MakeKey) -> None:
    with pytest.raises(SignatureError, match=f"by {make_key(1).public.id} is not over this manifest"):
        check(MANIFEST + b" ", signed(make_key(1)), trusting(make_key(1)), ORIGIN)


def test_a_stranger_who_claims_a_trusted_id_is_refused(make_key: MakeKey) -> None:
    claimed = sign(MANIFEST, make_key(2)).model_copy(update={"key_id": make_key(1).public.id})
    with pytest.raises(SignatureError, match="is not over this manifest"):
        check(MANIFEST, SignatureFile(signatures=(claimed,)), trusting(make_key(1)), ORIGIN)


def test_a_signature_made_for_another_purpose_does_not_pass(make_key: MakeKey) -> None:
    for message in (MANIFEST, succession.PREFIX + MANIFEST):
        made = base64.b64encode(make_key(1).sign(message)).decode()
        forged = SignatureFile(signatures=(Signature(key_id=make_key(1).public.id, algorithm="ed25519", signature=made),))
        with pytest.raises(SignatureError):
            check(MANIFEST, forged, trusting(make_key(1)), ORIGIN)
    assert not PREFIX.startswith(succession.PREFIX)
    assert not succession.PREFIX.startswith(PREFIX)


def test_an_algorithm_of_the_future_never_counts(make_key: MakeKey) -> None:
    future = sign(MANIFEST, make_key(1)).model_copy(update={"algorithm": "ml-dsa-44"})
    with pytest.raises(SignatureError, match="is ml-dsa-44, this version knows ed25519"):
        check(MANIFEST, SignatureFile(signatures=(future,)), trusting(make_key(1)), ORIGIN)


@pytest.mark.parametrize("text", ["", "=", "A", "!!!!", "é", "A" * 8192, "\n", "AA==", " " * 88])
def test_base64_that_is_none_is_a_bad_signature(make_key: MakeKey, text: str) -> None:
    bad = sign(MANIFEST, make_key(1)).model_copy(update={"signature": text})
    with pytest.raises(SignatureError, match="is not over this manifest"):
        check(MANIFEST, SignatureFile(signatures=(bad,)), trusting(make_key(1)), ORIGIN)


def test_a_second_way_to_write_the_same_bytes_in_base64_is_refused(make_key: MakeKey) -> None:
    good = sign(MANIFEST, make_key(1))
    last = good.signature[-3]
    unused = {"A": "B", "Q": "R", "g": "h", "w": "x"}  # the last letter carries two bits; four more are not looked at
    other = good.model_copy(update={"signature": good.signature[:-3] + unused[last] + "=="})
    assert base64.b64decode(other.signature) == base64.b64decode(good.signature)
    with pytest.raises(SignatureError):
        check(MANIFEST, SignatureFile(signatures=(other,)), trusting(make_key(1)), ORIGIN)


# ----------------------------------------------------------------------------------------------------------- the format


def golden_key(first: int) -> PrivateKey:
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes(range(first, first + 32))))


def test_the_golden_manifest_gives_the_golden_signatures() -> None:
    """The second one was made with OpenSSL too."""
    manifest = (GOLDEN / "manifest.json").read_bytes()
    made = with_signature(signed(golden_key(32), manifest=manifest), sign(manifest, golden_key(0)))
    assert made.encode() == (GOLDEN / "manifest.sig").read_bytes()


def test_the_golden_signature_is_good_by_the_golden_key() -> None:
    [key] = key_file.read_public(GOLDEN / "maker.pub")
    assert key.id == "56475aa75463474c0285df5dbf2bcab7"
    held = parse((GOLDEN / "manifest.sig").read_bytes(), ORIGIN)
    assert check((GOLDEN / "manifest.json").read_bytes(), held, TrustedKeys({key.id: key}), ORIGIN) == key.id


def test_signing_again_replaces_and_keeps_the_others(make_key: MakeKey) -> None:
    older = signed(make_key(1), make_key(2), manifest=b"older")
    newer = with_signature(older, sign(MANIFEST, make_key(1)))
    assert newer.key_ids == [make_key(2).public.id, make_key(1).public.id]
    assert newer.signatures[0] == older.signatures[1]


def test_there_is_room_for_sixteen(make_key: MakeKey) -> None:
    full = signed(*[make_key(number) for number in range(16)])
    assert with_signature(full, sign(MANIFEST, make_key(3))).key_ids[-1] == make_key(3).public.id
    with pytest.raises(SignatureError, match="bears 16 signatures, at most 16"):
        with_signature(full, sign(MANIFEST, make_key(99)))


def changed(held: SignatureFile, **fields: object) -> bytes:
    return json.dumps({**json.loads(held.encode()), **fields}).encode()


def refused(data: bytes) -> None:
    with pytest.raises(SignatureError) as caught:
        parse(data, ORIGIN)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    str(caught.value).encode("utf-8")


NO_SIGNATURES = [b"", b"null", b"[]", b"\xff\xfe", b"[" * 60_000, b"{", b'{"schema_version": ' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize("data", NO_SIGNATURES, ids=lambda data: repr(data[:24]))
def test_what_is_no_signature_file_is_one_short_line(data: bytes) -> None:
    refused(data)


WRONG_FIELDS = [
    {"schema_version": 2},
    {"schema_version": 0},
    {"schema_version": "1"},
    {"signatures": []},
    {"signatures": {}},
    {"signatures": None},
    {"note": "\n" * 1000},
    {"\ud800\n": 1},
]


@pytest.mark.parametrize("fields", WRONG_FIELDS, ids=ascii)
def test_a_wrong_field_is_one_short_line(make_key: MakeKey, fields: dict[str, object]) -> None:
    refused(changed(signed(make_key(1)), **fields))


WRONG_ENTRIES = [
    {"key_id": "AB" * 16},
    {"key_id": "ab" * 16 + "\n"},
    {"key_id": None},
    {"algorithm": "\x1b[31m"},
    {"algorithm": None},
    {"signature": 7},
    {"signature": "A" * 8193},
    {"more": 1},
]


@pytest.mark.parametrize("fields", WRONG_ENTRIES, ids=lambda fields: ascii(fields)[:40])
def test_a_wrong_field_of_a_signature_is_one_short_line(make_key: MakeKey, fields: dict[str, object]) -> None:
    [entry] = json.loads(signed(make_key(1)).encode())["signatures"]
    refused(changed(signed(make_key(1)), signatures=[{**entry, **fields}]))


@pytest.mark.parametrize("count", [2, 1000])
def test_a_key_that_signed_twice_and_a_thousand_signatures_are_refused(make_key: MakeKey, count: int) -> None:
    [entry] = json.loads(signed(make_key(1)).encode())["signatures"]
    refused(changed(signed(make_key(1)), signatures=[entry] * count))


def test_a_later_version_is_refused_with_what_to_do(make_key: MakeKey) -> None:
    with pytest.raises(SignatureError, match="has version 2, this isthmus reads 1; install a newer one"):
        parse(changed(signed(make_key(1)), schema_version=2), ORIGIN)


@given(data=st.data())
def test_changed_bytes_are_good_only_if_the_signature_is_the_same(make_key: MakeKey, data: st.DataObject) -> None:
    original = signed(make_key(1), make_key(2))
    raw = bytearray(original.encode())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    try:
        held = parse(bytes(raw), ORIGIN)
        check(MANIFEST, held, trusting(make_key(1)), ORIGIN)
    except SignatureError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert original.signatures[0] in held.signatures


# ------------------------------------------------------------------------------------------------------------- the file


def test_no_file_is_no_signature(tmp_path: Path) -> None:
    assert signature.read(tmp_path, ORIGIN) is None


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.sig").write_bytes(b" " * (64 << 10) + b"{}")
    with pytest.raises(SignatureError, match="more than the 65536 bytes"):
        signature.read(tmp_path, ORIGIN)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_refused(make_key: MakeKey, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").write_bytes(signed(make_key(1)).encode())
    path = tmp_path / "manifest.sig"
    {"link": lambda: path.symlink_to("elsewhere"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises(SignatureError):
        signature.read(tmp_path, ORIGIN)
