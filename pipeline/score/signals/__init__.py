"""Measures of memorization, one small module each, with its formula and where it comes from."""
