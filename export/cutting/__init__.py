"""Where a network can be cut, and the cut itself."""
