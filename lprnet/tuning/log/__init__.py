"""What tuning leaves in `tuning_logs/`."""
