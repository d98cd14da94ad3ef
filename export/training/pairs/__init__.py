"""Encoders and decoders that recipes name, and how a pair of your own takes their place."""
