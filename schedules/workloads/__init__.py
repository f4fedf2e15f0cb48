"""What kernels compute: definitions without schedules."""
