"""Where halves go besides our own server: Triton and TensorRT."""
