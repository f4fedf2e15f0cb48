"""The kernels that are tuned and the search space of their schedules."""
