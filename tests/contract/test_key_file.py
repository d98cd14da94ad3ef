import base64
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.contract.key import PrivateKey, PublicKey
from isthmus.contract.key_file import private_pem, public_pem, read_private, read_public, write_pair
from isthmus.errors import ConfigError, IsthmusError, UsageError

MakeKey = Callable[[int], PrivateKey]


def never_asked() -> bytes:
    raise AssertionError("a passphrase was asked for")


def written(folder: Path, data: bytes) -> Path:
    (folder / "file").write_bytes(data)
    return folder / "file"


@pytest.mark.parametrize("passphrase", [None, b"correct horse", b"\xff\x00\n"])
def test_a_pair_comes_back(make_key: MakeKey, tmp_path: Path, passphrase: bytes | None) -> None:
    private, public = write_pair("maker", tmp_path / "new", make_key(1), passphrase=passphrase)
    assert read_private(private, (lambda: passphrase) if passphrase else never_asked).public == make_key(1).public
    assert read_public(public) == [make_key(1).public]


def test_only_the_owner_reads_a_private_key(make_key: MakeKey, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        private, public = write_pair("maker", tmp_path, make_key(1))
    finally:
        os.umask(old)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644


@pytest.mark.parametrize("there", ["maker.key", "maker.pub"])
def test_nothing_is_overwritten_and_no_half_is_left(make_key: MakeKey, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=f"{there} is there already"):
        write_pair("maker", tmp_path, make_key(1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {there: b"mine"}


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a\n", "-rf", "x" * 65, "ключ"])
def test_a_name_that_is_not_plain_is_refused(make_key: MakeKey, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not plain"):
        write_pair(name, tmp_path, make_key(1))


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1024])
def test_a_passphrase_that_the_library_does_not_take_makes_no_file(make_key: MakeKey, tmp_path: Path, passphrase: bytes) -> None:
    with pytest.raises(ConfigError, match="1 to 1023 bytes"):
        write_pair("maker", tmp_path, make_key(1), passphrase=passphrase)
    assert list(tmp_path.iterdir()) == []


def test_openssl_reads_what_we_write(make_key: MakeKey, tmp_path: Path) -> None:
    private, public = write_pair("maker", tmp_path, make_key(1))
    try:
        made = subprocess.run(["openssl", "pkey", "-in", private, "-pubout"], capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("openssl is not installed here")
    assert made.stdout == public.read_bytes()


# ------------------------------------------------------------------------------------------------------- several in one


def test_a_file_of_several_keys_with_words_between_them_is_read(make_key: MakeKey, tmp_path: Path) -> None:
    one, two = public_pem(make_key(1).public), public_pem(make_key(2).public)
    file = written(tmp_path, b"# the maker\n" + one + b"# and the operator\r\n" + two.replace(b"\n", b"\r\n"))
    assert read_public(file) == [make_key(1).public, make_key(2).public]


def test_two_private_keys_in_one_file_are_refused(make_key: MakeKey, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds 2 keys"):
        read_private(written(tmp_path, private_pem(make_key(1), None) * 2), never_asked)


# ---------------------------------------------------------------------------------------------------------- wrong files


def rsa_key() -> Any:
    return rsa.generate_private_key(65537, 1024)


OTHER_KEYS = [
    rsa_key,
    lambda: ec.generate_private_key(ec.SECP256R1()),
    ed448.Ed448PrivateKey.generate,
    x25519.X25519PrivateKey.generate,
]


@pytest.mark.parametrize("make", OTHER_KEYS, ids=["rsa", "ec", "ed448", "x25519"])
def test_a_key_of_another_kind_is_named(tmp_path: Path, make: Callable[[], Any]) -> None:
    key = make()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ConfigError, match=r"holds an \w+PublicKey; isthmus checks Ed25519"):
        read_public(written(tmp_path, public))
    with pytest.raises(ConfigError, match=r"holds an \w+PrivateKey; isthmus signs with Ed25519"):
        read_private(written(tmp_path, private), never_asked)


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "CERTIFICATE"])
def test_a_file_of_another_label_is_named(tmp_path: Path, label: str) -> None:
    file = written(tmp_path, f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode())
    with pytest.raises(ConfigError, match=f"holds a {label}"):
        read_public(file)
    with pytest.raises(ConfigError, match=f"holds a {label}"):
        read_private(file, never_asked)


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_private_key_where_a_public_one_is_needed_is_told_without_its_content(
    make_key: MakeKey, tmp_path: Path, passphrase: bytes | None
) -> None:
    pem = private_pem(make_key(1), passphrase)
    with pytest.raises(ConfigError, match=r"is a private key and a public one is needed") as caught:
        read_public(written(tmp_path, pem))
    assert pem.splitlines()[1].decode() not in str(caught.value)


def test_a_public_key_where_a_private_one_is_needed_is_told(make_key: MakeKey, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a public key and cannot sign; give the private one"):
        read_private(written(tmp_path, public_pem(make_key(1).public)), never_asked)


def test_another_passphrase_is_told_and_not_repeated(make_key: MakeKey, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the passphrase is another or the file is damaged") as caught:
        read_private(written(tmp_path, private_pem(make_key(1), b"right")), lambda: b"wr0ng")
    assert "wr0ng" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_key_under_which_anyone_can_sign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="under which anyone can sign"):
        read_public(written(tmp_path, public_pem(PublicKey(bytes(32)))))


@pytest.mark.parametrize("length", range(0, 112, 7))
def test_a_key_cut_short_anywhere_is_refused(make_key: MakeKey, tmp_path: Path, length: int) -> None:
    with pytest.raises(ConfigError, match=r"holds no key|cut short"):
        read_public(written(tmp_path, public_pem(make_key(1).public)[:length]))


def test_a_huge_file_and_nothing_at_all_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than the 16384 bytes"):
        read_public(written(tmp_path, b"-----BEGIN PUBLIC KEY-----\n" * 100_000))
    with pytest.raises(ConfigError, match="there is no key file"):
        read_public(tmp_path / "nowhere")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data(), private=st.booleans())
def test_changed_bytes_give_a_key_or_one_line_of_ours(
    make_key: MakeKey, tmp_path: Path, data: st.DataObject, private: bool
) -> None:
    pem = bytearray(private_pem(make_key(1), None) if private else public_pem(make_key(1).public))
    for place in data.draw(st.lists(st.integers(0, len(pem) - 1), min_size=1, max_size=3)):
        pem[place] = data.draw(st.integers(0, 255))
    file = written(tmp_path, bytes(pem))
    try:
        read_private(file, never_asked) if private else read_public(file)
    except IsthmusError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


@given(inside=st.binary(max_size=60))
def test_any_bytes_in_a_sound_frame_give_a_key_or_our_error(tmp_path_factory: pytest.TempPathFactory, inside: bytes) -> None:
    body = base64.b64encode(inside)
    file = written(tmp_path_factory.mktemp("key"), b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ConfigError):
        read_public(file)
