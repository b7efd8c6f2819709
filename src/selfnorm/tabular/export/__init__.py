"""A model as one ONNX file, its encoding inside: served without Python."""
