"""Timing, accuracy, throughput, and the engines that are compared."""
