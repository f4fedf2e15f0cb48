"""Winograd convolutions in float32 and in 16-bit integers."""
