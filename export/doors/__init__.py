"""How a model comes in: ONNX files, torch factories, programs of torch.export, Hugging Face folders."""
