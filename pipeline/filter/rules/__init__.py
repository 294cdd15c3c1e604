"""The rules of a policy: pure functions from tables to decisions, applied in the order given."""
