"""Recipes side by side: the harness on noise, with a recipe of a user among them."""

import pytest

OWN = """
name = "mine"
pair = "isthmus"
channels = 2
[[stages]]
name = "one"
share = 1.0
features = [{ at = "cut" }]
optimiser = { learning_rate = 1e-3 }
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_recipe_of_a_user_stands_beside_the_others_and_nothing_is_trained_again(package, tmp_path) -> None:
    main = package("benchmarks.recipes.__main__").main
    (tmp_path / "mine.toml").write_text(OWN)
    asked = ["--quick", "--folder", str(tmp_path), "--recipe", str(tmp_path / "mine.toml")]
    assert main(asked) == 0
    page = (tmp_path / "quick" / "recipes-compared.md").read_text()
    assert "| mine, its channels |" in page
    assert "| hnd, 3 channels |" in page
    assert "mine, its channels" in (tmp_path / "quick" / "recipes-compared.svg").read_text()
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert main(asked) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == made


def test_a_recipe_that_is_none_is_refused_in_one_line(package, tmp_path) -> None:
    with pytest.raises(SystemExit, match="there is no recipe 'nmd'"):
        package("benchmarks.recipes.__main__").main(["--quick", "--folder", str(tmp_path), "--recipe", "nmd"])


def test_a_recipe_with_the_name_of_one_that_comes_with_isthmus_is_refused_in_one_line(package, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(OWN.replace("mine", "hnd"))
    asked = ["--quick", "--folder", str(tmp_path), "--recipe", str(tmp_path / "mine.toml")]
    with pytest.raises(SystemExit, match="is named hnd, as one that comes with Isthmus; give it another name"):
        package("benchmarks.recipes.__main__").main(asked)


def test_what_is_edited_in_the_module_of_a_recipe_is_trained_anew(package, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module, recipe = tmp_path / "edited_pair.py", tmp_path / "mine.toml"
    recipe.write_text(OWN.replace('"isthmus"', '"edited_pair:pair"'))
    stages, plan = package("benchmarks.recipes.stages"), package("benchmarks.recipes.plan")

    def key() -> str:
        trial = stages.Trial.of(plan.QUICK, [str(recipe)])
        return trial.trained(trial.scale.points[0]).key

    module.write_text("def pair(site):\n    return 1\n")
    before = key()
    assert key() == before
    module.write_text("def pair(site):\n    return 2\n")
    assert key() != before


def test_a_page_is_written_before_anything_is_trained(package, tmp_path) -> None:
    assert package("benchmarks.recipes.__main__").main(["--quick", "--page", "--folder", str(tmp_path)]) == 0
    assert "not measured yet" in (tmp_path / "quick" / "recipes-compared.svg").read_text()


@pytest.mark.slow
def test_a_training_that_diverges_is_told_of_and_ends_nothing(package, tmp_path) -> None:
    (tmp_path / "wild.toml").write_text(OWN.replace('"mine"', '"wild"\nbatch = 4').replace("1e-3", "1e30"))
    stages, plan = package("benchmarks.recipes.stages"), package("benchmarks.recipes.plan")
    trial = stages.Trial.of(plan.QUICK, [str(tmp_path / "wild.toml")])
    store = package("benchmarks.headline.store").Store(tmp_path / "quick")
    assert package("benchmarks.headline.__main__").perform(store, trial.stages()[:2]) == 0
    asked = ["--quick", "--page", "--folder", str(tmp_path), "--recipe", str(tmp_path / "wild.toml")]
    assert package("benchmarks.recipes.__main__").main(asked) == 0
    assert "- wild, its channels: training diverged" in (tmp_path / "quick" / "recipes-compared.md").read_text()
