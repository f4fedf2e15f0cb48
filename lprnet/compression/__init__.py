"""A model and images to a smaller network: calibrated, reduced, pruned, quantized."""
