from pathlib import Path

import pytest

from isthmus.errors import ConfigError, UsageError
from isthmus.export.training import recipe
from isthmus.export.training.pairs.pair import PAIRS

PLAIN = """
name = "plain"
[[stages]]
name = "one"
share = 1.0
features = [{ at = "cut" }]
optimiser = { learning_rate = 1e-3 }
"""
LABELLED = "answers = { labels = 0.3 }\n"


def changed(old, new):
    assert old in PLAIN
    return PLAIN.replace(old, new)


def test_the_recipes_of_the_papers_and_ours_come_with_the_package():
    assert recipe.names() == ["bottlefit", "entropic", "ghnd", "hnd", "isthmus"]
    for name in recipe.names():
        made = recipe.load(name)
        assert (made.name, made.pair in PAIRS) == (name, True)


def test_published_recipes_have_the_published_numbers():
    first, second = recipe.load("bottlefit").stages
    assert (first.optimiser.kind, first.optimiser.learning_rate, first.trains) == ("adam", 1e-3, ("encoder", "decoder"))
    assert (second.optimiser.momentum, second.optimiser.weight_decay, "encoder" in second.trains) == (0.9, 5e-4, False)
    assert recipe.load("entropic").stages[0].rate == recipe.Rate(weight=0.64, by="prior")
    assert [one.at for one in recipe.load("hnd").stages[0].features] == ["cut"]


def test_a_file_is_read(tmp_path):
    (tmp_path / "mine.toml").write_text(PLAIN)
    assert recipe.load(str(tmp_path / "mine.toml")) == recipe.parse(PLAIN, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("features", "featurs"), "there is no key stages.0.featurs; did you mean features?"),
        (changed("[[stages]]", "zzz = 1\n[[stages]]"), "there is no key zzz; known here: name, about, .*stages"),
        (changed("learning_rate", "rate"), "there is no key stages.0.optimiser.rate; did you mean tail_rate"),
        (changed("share = 1.0", ""), "stages.0.share is missing"),
        (changed("share = 1.0", "share = 0.5"), "the shares of the stages add up to 0.5, they must to 1"),
        (changed("share = 1.0", "share = 7"), "stages.0.share = 7: Input should be less than or equal to 1"),
        (changed('features = [{ at = "cut" }]', ""), "stage 'one' has neither features nor answers to learn from"),
        (changed("share = 1.0", 'share = 1.0\ntrains = ["tail", "tail"]'), "stage 'one' trains .*each once"),
        (changed("[[stages]]", "views = { mixup = 0.5 }\n[[stages]]") + LABELLED, "stage 'one' learns from labels, which mixed"),
        (changed("name = ", "name "), "is no TOML"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError, match=f"^recipe mine.toml.*{message}") as refused:
        recipe.parse(text, "mine.toml")
    assert "\n" not in str(refused.value)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no recipe 'botlefit' and no such file; known: bottlefit, .*did you mean bottlefit"):
        recipe.load("botlefit")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        recipe.load(str(tmp_path / "a.toml"))


def test_steps_fall_into_the_stages_by_their_shares():
    made = recipe.load("isthmus")
    first = made.stages[0].share
    assert made.stage_at(0.0) == (0, 0.0)
    assert made.stage_at(first / 2) == (0, pytest.approx(0.5))
    assert made.stage_at(first) == (1, 0.0)
    assert made.stage_at(1.0) == (1, 1.0)


def test_a_rate_weight_goes_where_the_recipe_has_a_rate_else_into_the_last_stage():
    rated = recipe.load("entropic").with_rate(2.56)
    assert [stage.rate and (stage.rate.weight, stage.rate.by) for stage in rated.stages] == [(2.56, "prior"), None]
    given = recipe.load("isthmus").with_rate(0.2)
    assert [stage.rate and (stage.rate.weight, stage.rate.by) for stage in given.stages] == [None, (0.2, "codec")]


def test_a_number_of_bytes_rates_every_stage_in_which_the_encoder_learns():
    made = recipe.load("isthmus").with_codec_rate(None)
    assert [stage.rate for stage in made.stages] == [recipe.Rate(weight=recipe.RATE_START)] * 2
    frozen = recipe.load("bottlefit").with_codec_rate(0.3)
    assert [stage.rate and stage.rate.weight for stage in frozen.stages] == [0.3, None]


def test_a_prior_knows_no_bytes():
    with pytest.raises(UsageError, match="entropic rates its codes by a prior, which knows no bytes"):
        recipe.load("entropic").with_codec_rate(None)


def test_the_recipes_lie_beside_their_reader():
    folder = Path(recipe.__file__).parent / "recipes"
    assert sorted(path.stem for path in folder.glob("*.toml")) == recipe.names()
