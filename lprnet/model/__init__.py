"""LPRNet: the network, its checkpoints, what it reads."""
