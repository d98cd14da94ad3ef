"""Seeing into a running server: figures, the live page, health, traces. Nothing here decides anything about a frame."""
