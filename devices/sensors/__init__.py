"""What the machine measures of itself, as Linux shows it: one kind of sensor a file, the root of /sys and /proc a parameter."""

from isthmus.devices.sensors.readings import HOT_C, Readings, read

__all__ = ["HOT_C", "Readings", "read"]
