"""Short quotes of documents for the report, masked and shown side by side."""
