"""Questions to a finished run: how often a text occurs, and why a row stayed or went."""
