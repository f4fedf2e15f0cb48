"""`scripts/train.py`'s work."""
