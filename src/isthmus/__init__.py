"""Isthmus: cut a trained network, keep the head on the device, serve the tail, send only what has to cross."""

__version__ = "0.1.0"
