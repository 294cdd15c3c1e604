"""The forecast of what a larger model memorizes, from what small proxies did."""
