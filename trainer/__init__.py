"""Readers of finished shards: validate, train, evaluate, search. Imports nothing of the other packages."""
