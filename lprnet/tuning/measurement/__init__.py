"""Candidates compiled and timed in separate processes, on this machine or over RPC."""
