"""Messages generated from `split.proto`; `make proto` writes them, CI checks that they are current."""
