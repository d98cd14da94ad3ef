import time

import pytest

from isthmus.errors import ConfigError
from isthmus.head.settings import AgentSettings
from isthmus.head.update.from_file import FileSource
from isthmus.head.update.from_tail import TailSource
from isthmus.head.update.from_web import WebSource
from isthmus.head.update.settings import UpdateSettings, open_update_source, parse_hours

AGENT = AgentSettings(source="camera:0", tails=("a:1", "b:2"))


@pytest.mark.parametrize(
    ("reference", "kind", "name"),
    [("tail", TailSource, "a:1"), ("c:3", TailSource, "c:3"), ("https://x.org/b", WebSource, "x.org"), (".", FileSource, ".")],
)
def test_places_are_told_by_their_names(reference, kind, name):
    source = open_update_source(reference, AGENT, "cups")
    assert isinstance(source, kind)
    assert name in source.name


@pytest.mark.parametrize(
    ("reference", "agent", "words"),
    [
        ("tail", AgentSettings(source="camera:0"), "it has none"),
        ("nothing-here", AGENT, "is no place for updates"),
        ("http://x.org/b", AGENT, "https://HOST/PATH is needed"),
    ],
)
def test_what_is_no_place_is_a_config_error(reference, agent, words):
    with pytest.raises(ConfigError, match=words):
        open_update_source(reference, agent, "cups")


@pytest.mark.parametrize("text", ["1", "1-25", "a-b", "24-3", "5-5", "-1-3"])
def test_what_are_no_hours_is_a_config_error(text):
    with pytest.raises(ConfigError, match="are no hours"):
        parse_hours(text)


def test_without_hours_it_is_always_time():
    assert UpdateSettings().may_change_now(time.struct_time((2026, 1, 1, 12, 0, 0, 0, 1, 0)))


def test_a_bundle_has_to_prove_itself():
    with pytest.raises(ConfigError, match="at least 1 is needed"):
        UpdateSettings(answers=0)
