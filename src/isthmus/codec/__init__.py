"""Codes to bytes and back. Integers only; no networking and no model code at all."""
