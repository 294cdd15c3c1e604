"""Answer questions about a finished run: how often a text occurs, why a row was kept or removed."""
