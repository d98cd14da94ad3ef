"""A stretch of a language model's layers on this machine, and the caches of the sequences that go through it."""
