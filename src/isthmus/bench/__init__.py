"""Measures the programs: placements over one link in one run, percentiles, results and report."""
