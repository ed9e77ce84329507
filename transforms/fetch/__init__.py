"""Candidates to images."""
