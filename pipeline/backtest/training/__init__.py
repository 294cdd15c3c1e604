"""Train the target of a back-test, and say before what it costs."""
