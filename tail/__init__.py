"""The edge server: frames to answers. Without torch."""
