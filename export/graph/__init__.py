"""ONNX graphs: how data runs through them, what they cost, how they are joined, converted, stored and run."""
