import grpc
import pytest

from isthmus.errors import ConfigError
from isthmus.head.credentials import Credentials
from isthmus.head.link import Link


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("isthmus_token\n")
    return path


def test_the_token_goes_with_every_call(token):
    assert Credentials(token_file=token).metadata() == (("authorization", "Bearer isthmus_token"),)
    assert Credentials().metadata() == ()


def test_a_new_token_is_sent_next_time(token):
    credentials = Credentials(token_file=token)
    credentials.metadata()
    token.write_text("another")
    assert credentials.metadata()[0][1] == "Bearer another"


@pytest.mark.parametrize("address", ["192.0.2.7:8001", "tail.example:8001", "[2001:db8::7]:8001", "0.0.0.0:8001"])
def test_a_token_does_not_cross_a_network_without_tls(token, address):
    with pytest.raises(ConfigError, match=r"without TLS, where others can read it: give --tls-ca, or --insecure"):
        Credentials(token_file=token).open_channel(address, ())


def test_a_link_to_such_an_address_is_not_even_begun(token, tiny_bundle):
    with pytest.raises(ConfigError, match="without TLS"):
        Link(tiny_bundle, ["127.0.0.1:1", "192.0.2.7:8001"], device_id="d", credentials=Credentials(token_file=token))


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001"])
def test_it_stays_on_this_machine_without_tls(token, address):
    Credentials(token_file=token).check_address(address)


def test_it_crosses_when_asked_to_or_over_tls(token, make_authority):
    Credentials(token_file=token, insecure=True).check_address("192.0.2.7:8001")
    Credentials(token_file=token, ca=make_authority().file).check_address("192.0.2.7:8001")


@pytest.mark.parametrize("text", ["", "\n", "two words", "a\nb", "caf\xe9", "x" * 5000])
def test_a_file_without_a_token_is_told_and_not_quoted(token, text):
    token.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Credentials(token_file=token).metadata()
    assert "words" not in str(caught.value)


def test_a_missing_token_file_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(ConfigError, match="isthmus tokens new"):
        Credentials(token_file=tmp_path / "none").metadata()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"certificate": "c"}, "belong together"),
        ({"key": "k", "ca": "a"}, "belong together"),
        ({"certificate": "c", "key": "k"}, "--tls-cert needs --tls-ca"),
    ],
)
def test_options_that_do_not_fit_are_told(files, words):
    with pytest.raises(ConfigError, match=words):
        Credentials(**files)


def test_without_an_authority_the_channel_is_plain():
    with Credentials().open_channel("127.0.0.1:1", ()) as channel:
        assert isinstance(channel, grpc.Channel)


def test_an_authority_that_is_none_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca.pem holds no certificates"):
        Credentials(ca=tmp_path / "ca.pem").open_channel("127.0.0.1:1", ())
