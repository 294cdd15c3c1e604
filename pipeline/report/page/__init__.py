"""The parts of the page, from top to bottom, each from the report's data to HTML."""
