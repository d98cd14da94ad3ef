import datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from isthmus.contract import certificate
from isthmus.errors import ConfigError

NOW = datetime.datetime.now(datetime.UTC)


def check(chain, key, now=NOW):
    certificate.check_pair(certificate.read(chain), certificate.read(key), chain=chain, key=key, now=now)


def write_key(path, key, encryption=None):
    encryption = encryption or serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))


def test_a_pair_of_today_can_be_shown(make_authority):
    check(*make_authority().issue())


def test_the_key_of_another_certificate_is_told(make_authority):
    authority = make_authority()
    chain, _ = authority.issue("a")
    _, key = authority.issue("b")
    with pytest.raises(ConfigError, match=r"b.key is not the key of the certificate in .*a.crt"):
        check(chain, key)


@pytest.mark.parametrize(("days", "word"), [(11, "expired on"), (-21, "is valid from .* and this clock says")])
def test_a_certificate_of_another_time_is_told(make_authority, days, word):
    chain, key = make_authority().issue()
    with pytest.raises(ConfigError, match=word):
        check(chain, key, NOW + datetime.timedelta(days=days))


def test_an_encrypted_key_is_told(make_authority):
    chain, key = make_authority().issue()
    write_key(key, ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"x"))
    with pytest.raises(ConfigError, match="is encrypted"):
        check(chain, key)


def test_a_kind_of_key_that_grpc_does_not_take_is_told(make_authority):
    chain, key = make_authority().issue()
    write_key(key, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(ConfigError, match="takes EC and RSA keys"):
        check(chain, key)


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_read_is_told_and_not_quoted(make_authority, data):
    chain, key = make_authority().issue()
    key.write_bytes(data)
    with pytest.raises(ConfigError, match="holds no private key") as caught:
        check(chain, key)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_told(tmp_path, data):
    with pytest.raises(ConfigError, match="holds no certificates"):
        certificate.certificates(data, tmp_path / "ca.pem")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        certificate.read(tmp_path / "none")


def test_a_file_that_is_far_too_large_is_not_read(tmp_path):
    (tmp_path / "large").write_bytes(bytes(certificate.FILE_MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="more than the"):
        certificate.read(tmp_path / "large")
