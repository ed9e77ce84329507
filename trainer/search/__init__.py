"""Image search by text over finished shards."""
