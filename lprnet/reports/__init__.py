"""Measurements for readers: tables, plots, pages."""
