"""Split language models beside unsplit ones: time per token, bytes, memory, and what compressed hidden states change."""
