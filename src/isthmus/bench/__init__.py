"""Measures the programs: placements over one link, percentiles, results and report."""
