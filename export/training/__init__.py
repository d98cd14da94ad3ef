"""How a bottleneck learns: teacher, steps, checkpoints, and gradients through a frozen ONNX tail."""
