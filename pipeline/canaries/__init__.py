"""Canaries for the user's own training: made before it, asked for after it.

`made/` draws them and seals the key; `checked/` asks a model for them and holds the forecast
against what it recites. Neither changes a run folder.
"""
