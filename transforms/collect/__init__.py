"""Sources to candidates."""
