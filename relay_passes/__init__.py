"""Relax passes that reduce and lower LPRNet.

TVM 0.20 removed Relay; Relax is its successor. The folder keeps its requested name. Each file holds
one pass, a class; `pipeline.py` defines their order.
"""
