"""A model and images to a smaller network: calibrated, folded, pruned, quantized."""
