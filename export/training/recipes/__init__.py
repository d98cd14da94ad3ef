"""Recipes that come with Isthmus, one TOML file each; `export.training.recipe` reads them."""
