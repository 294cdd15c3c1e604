"""Everything that starts work: the command line and the Prefect flows."""
