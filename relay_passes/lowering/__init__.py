"""Parts of `LowerToKernels`."""
