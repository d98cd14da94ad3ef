"""Plans beside measurements: placements, links and fleets, predicted from cost tables and run with the real programs."""
