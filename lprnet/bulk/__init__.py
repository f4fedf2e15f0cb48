"""Reads millions of plates: inputs as a stream, one process a core, results in shards."""
