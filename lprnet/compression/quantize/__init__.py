"""Quantization: scales, rounding, and the integers' exact specification."""
