"""Schemas of the tables that the filter makes."""
