"""Scored sequences: what proxies are trained on, what is scored, and the resulting table."""
