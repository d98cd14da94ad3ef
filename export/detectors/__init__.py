"""Which detector a network is, and its boxes, decoded behind it."""
