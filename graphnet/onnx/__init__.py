"""Models in ONNX, in and out."""
