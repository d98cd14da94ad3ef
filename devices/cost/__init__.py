"""What networks cost on a device: measured by kernel, by stage and at every cut, and carried over to devices never measured."""
