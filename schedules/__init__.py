"""Hand-written TensorIR schedules.

`workloads/` defines what kernels compute, `register_tiles.py` chooses tile sizes, and each of the
other files schedules a family of kernels.
"""
