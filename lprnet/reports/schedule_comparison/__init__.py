"""`scripts/compare.py`'s work: schedules against each other, kernel by kernel."""
