"""Candidates compiled and timed in processes of their own, here or on a fleet."""
