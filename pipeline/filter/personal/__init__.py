"""Personal data in texts: found by form and check digit, counted and masked, never quoted."""
