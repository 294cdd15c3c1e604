"""Expensive measures of memorization, on request, of a panel of sequences."""
