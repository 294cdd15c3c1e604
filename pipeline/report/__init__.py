"""The fourth act: one page, one JSON file and one page of Markdown that sum the run up."""
