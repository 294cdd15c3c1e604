"""Canaries after the training: a model is asked for them, and the forecast held against it."""
