"""Relax passes that reduce and lower LPRNet.

Relay was removed from TVM in 0.20 and Relax is its successor: this folder keeps the name it was
asked for and holds Relax passes, one file and one class each. `pipeline.py` alone orders them.
"""
