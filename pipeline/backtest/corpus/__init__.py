"""The corpus of a back-test: part of the run's own text, and planted canaries."""
