"""Kernels for Intel's Advanced Matrix Extensions: tile registers and what multiplies them."""
