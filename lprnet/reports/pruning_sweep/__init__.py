"""Structured pruning at several budgets: built, read, timed, drawn."""
