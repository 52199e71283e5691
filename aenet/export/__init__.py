"""Trained branches as ONNX files, proven equal, calibrated, and in half precision."""
