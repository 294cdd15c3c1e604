"""A run taken elsewhere: its tables as a database, its kept rows as a folder for a hub."""
