"""`scripts/report.py`'s work: every variant against every rival, on this machine, in one run."""
