"""Judgements: pure functions `(value, rules) -> Drop | None`. No Beam, no I/O, no clock."""
