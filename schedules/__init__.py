"""Hand-written TensorIR schedules: `workloads` says what, `tiles` how large, each family how."""
