"""What head and tail agree on. No networking code at all."""
