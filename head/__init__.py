"""The device side: camera to frames on the wire. Without torch, on 64-bit ARM and x86-64."""
