"""The work of `scripts/report.py`: all variants and baselines measured in one run."""
