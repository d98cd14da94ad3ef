"""What is known beforehand of kinds of devices: TOML files, each with its sources and how far it was checked."""
