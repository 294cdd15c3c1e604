"""The stages: typed functions from tables to tables, without an orchestrator or a command line."""
