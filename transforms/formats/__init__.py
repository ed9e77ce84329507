"""File formats and wire formats: read, written, recognised."""
