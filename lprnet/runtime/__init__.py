"""Reads plates with an artifact; needs NumPy, OpenCV and tvm-ffi, nothing else."""
