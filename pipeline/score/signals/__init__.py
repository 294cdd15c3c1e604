"""Measures of memorization, one small module each, with their equations and papers."""
