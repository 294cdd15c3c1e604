"""Schemas of the tables that scoring makes."""
