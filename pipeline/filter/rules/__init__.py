"""The rules of a policy, pure functions from tables to decisions, in the order of the settings."""
