"""An ONNX file of LPRNet as a model of ours."""
