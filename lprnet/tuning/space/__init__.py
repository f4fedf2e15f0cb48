"""What is tuned and which schedules are possible."""
