"""The rules of a policy: each a pure function from tables to decisions.

The emit pass only carries them out.
"""
