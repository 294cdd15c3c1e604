"""The first act: read every text once and count everything in it that is repeated."""
