"""Attempts that must not meet, and errors that end a run."""
