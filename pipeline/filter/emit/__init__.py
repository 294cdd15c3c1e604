"""Write kept/ and removed/: carry out the decisions, shard by shard."""
