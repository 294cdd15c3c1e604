"""Expensive measures over a panel of sequences, made only when they are asked for."""
