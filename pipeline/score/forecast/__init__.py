"""The forecast: from what small proxies memorized to what the target will."""
