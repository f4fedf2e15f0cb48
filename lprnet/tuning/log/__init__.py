"""Tuning logs, the files in `tuning_logs/`."""
