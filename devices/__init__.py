"""What machine this is: onnxruntime sessions, memory, cores, link shaping. Without torch."""
