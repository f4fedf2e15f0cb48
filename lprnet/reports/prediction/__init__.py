"""The work of `lprnet predict`: estimated cycles on other CPUs."""
