"""Candidates, images and scores to a selection."""
