"""The second act: train or load proxy models and forecast what a target memorizes."""
