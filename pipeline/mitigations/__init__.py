"""The rules of a policy: each a pure function from tables to decisions; the emit pass only carries them out."""
