"""Plates rendered and photographed by program."""
