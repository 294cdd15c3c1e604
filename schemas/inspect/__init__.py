"""Schemas of the tables that questions to a run folder write where the user says."""
