"""The rules of a policy and what else is added for training.

Each is a pure function from tables to decisions or columns; the emit pass only carries them out.
"""
