"""Predicts what placements come to on a device, a link and a server, and says which to take."""
