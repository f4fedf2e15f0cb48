"""Plate reading as a service over HTTP: `lprnet serve`."""
