"""A device takes a new bundle: fetches, checks, rehearses, goes over to it, and goes back by itself where that fails."""
