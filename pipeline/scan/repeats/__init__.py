"""Repeated passages: windows of words, the spans they form, excerpts of longer texts."""
