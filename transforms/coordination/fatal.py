"""Failures that no record is to blame for: a full disk, a broken network of ours. They end the run, resumable."""


class FatalError(Exception):
    """Its message is for a person: what is wrong, and the remedy."""
