import pytest

from isthmus.export import record


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("my model", "my-model"), ("modèle", "mod-le"), (".hidden", "model-.hidden"), ("网络", "model---"), ("a" * 200, "a" * 128)],
)
def test_every_file_name_becomes_an_identifier(name, identifier):
    assert record.identifier(name) == identifier
