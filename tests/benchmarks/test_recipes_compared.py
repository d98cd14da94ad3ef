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
