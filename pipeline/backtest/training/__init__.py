"""Train the models of a back-test, and say before what that costs."""
