"""`lprnet train`'s work."""
