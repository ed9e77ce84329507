"""A selection to shards."""
