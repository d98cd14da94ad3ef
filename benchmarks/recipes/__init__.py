"""The recipes of the package, and those of a user, on one task in one plot."""
