"""Hand-written TensorIR schedules: `workloads` says what, `register_tiles` how large, each
family how.
"""
