"""The manifest's own version; a run folder of another one is refused."""

SCHEMA_VERSION = 4
