"""`scripts/predict.py`'s work: cycles on CPUs that are not here."""
