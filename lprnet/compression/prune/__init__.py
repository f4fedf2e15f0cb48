"""Pruning: which channels and weights stay, and how the others are made up for."""
