"""What can be added to kept rows for training: loss masks, sink ids, weights, n-gram filters.

Each is a pure function from tables to columns; the stage `emit` only writes them.
"""
