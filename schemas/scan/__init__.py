"""Schemas of the tables that the scan makes."""
