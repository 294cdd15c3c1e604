"""Every setting of a run: its type, its default, its meaning, and how a file of them is read."""
