"""Where each frame is answered, and with which setting: decided from what was seen of link, server and device.

Nothing here sends, waits or reads a clock: times come in as arguments, so that the same objects drive the live agent and a
simulation of hours in seconds.
"""
