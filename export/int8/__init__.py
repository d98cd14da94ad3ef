"""Heads of 8-bit weights and activations."""
