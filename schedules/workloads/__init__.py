"""The kernels: shape, name and unscheduled TensorIR definition of each."""
