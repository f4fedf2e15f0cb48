"""A pruned network learns to answer like the one that it was cut from, on rendered plates."""
