"""Which channels matter: the analysis behind `DropDeadChannels`."""
