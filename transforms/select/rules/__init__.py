"""The rules of `select`, a file each. A file put here is a rule: `registry.py` finds it."""
