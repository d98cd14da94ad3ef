"""A language model from a folder, cut between two layers."""
