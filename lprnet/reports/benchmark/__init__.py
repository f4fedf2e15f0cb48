"""The work of `lprnet report`: all variants and baselines measured in one run."""
