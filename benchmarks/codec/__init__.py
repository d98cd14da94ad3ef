"""The codec beside whatever else could carry a frame: `python -m benchmarks.codec`, see `__main__`."""
