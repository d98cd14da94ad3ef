import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.contract.key import PrivateKey, PublicKey, listed

MakeKey = Callable[[int], PrivateKey]
FORGED = bytes([1]) + bytes(63)
"""The neutral point and a zero: a signature under every key of order 1, whatever the message."""


@given(message=st.binary(max_size=99), flipped=st.integers(0, 511))
def test_a_signature_is_good_for_its_message_and_no_longer_with_any_bit_changed(
    make_key: MakeKey, message: bytes, flipped: int
) -> None:
    made = bytearray(make_key(1).sign(message))
    assert make_key(1).public.made(bytes(made), message)
    assert not make_key(2).public.made(bytes(made), message)
    assert not make_key(1).public.made(bytes(made), message + b"!")
    made[flipped // 8] ^= 1 << flipped % 8
    assert not make_key(1).public.made(bytes(made), message)


@pytest.mark.parametrize("length", [0, 63, 65, 10_000])
def test_a_signature_of_another_length_is_none(make_key: MakeKey, length: int) -> None:
    assert not make_key(1).public.made(bytes(length), b"message")


def test_the_id_is_of_the_public_key(make_key: MakeKey) -> None:
    public = PublicKey(bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"))
    assert public.id == "56475aa75463474c0285df5dbf2bcab7"
    assert make_key(1).public.id == make_key(1).public.id != make_key(2).public.id


def test_a_key_under_which_anyone_can_sign_is_known(make_key: MakeKey) -> None:
    forgeable = PublicKey(bytes([1]) + bytes(31))
    assert forgeable.made(FORGED, b"whatever")
    assert forgeable.weak
    assert PublicKey(bytes(32)).weak
    assert PublicKey(bytes(31) + b"\x80").weak
    assert not make_key(1).public.weak


def test_the_text_of_a_private_key_shows_nothing(make_key: MakeKey) -> None:
    assert repr(make_key(1)) == "PrivateKey()"


def test_two_new_keys_differ() -> None:
    assert PrivateKey.generate().public != PrivateKey.generate().public


def test_a_thousand_ids_are_one_short_line() -> None:
    assert len(listed("ab" * 16 for _ in range(1000))) < 130


def test_nothing_is_imported_for_a_bundle_that_nobody_asks_to_be_signed() -> None:
    modules = "isthmus.contract.sealing, isthmus.contract.succession, isthmus.cli.main"
    code = f"import sys, {modules}; print('cryptography' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "False"
