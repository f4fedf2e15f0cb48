"""Confidences that can be trusted: fitted, checked on other images, drawn."""
