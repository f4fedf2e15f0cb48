"""The work of `scripts/predict.py`: estimated cycles on other CPUs."""
