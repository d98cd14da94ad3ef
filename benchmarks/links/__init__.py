"""Outages of a link, timed: `python -m benchmarks.links`, see `__main__`."""
