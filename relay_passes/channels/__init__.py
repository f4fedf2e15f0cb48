"""The channel analysis of `DropDeadChannels` and `OrderSlicedChannels`."""
