"""Conversations with a language model whose first layers run on the device. No torch, and the text stays here."""
