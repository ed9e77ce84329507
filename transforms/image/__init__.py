"""Pictures: decoded, resized, hashed, by a pool of processes."""
