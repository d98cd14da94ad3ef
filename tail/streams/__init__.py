"""Device streams: what is said on them, and what is remembered between them."""
