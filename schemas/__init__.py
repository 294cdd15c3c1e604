"""The tables of a run folder, one module per table."""
