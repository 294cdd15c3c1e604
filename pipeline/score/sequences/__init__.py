"""Sequences, the unit of risk: choose them, train proxies on them, score each in one pass."""
