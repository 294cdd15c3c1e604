"""What the report says, as data: every part of report.json, computed from the tables."""
