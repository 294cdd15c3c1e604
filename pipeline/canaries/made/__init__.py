"""Canaries before the training: drawn, held against the corpus, forecast, sealed in a key."""
