"""A file an engine, each run by `worker.py` in the engine's own environment."""
