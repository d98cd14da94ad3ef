"""Where the bundles of a server come from, and which of their versions it has loaded."""
