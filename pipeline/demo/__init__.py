"""The demo: a generated web with planted defects, and the truth about it."""
