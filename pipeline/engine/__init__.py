"""Run stages over units of work, and keep what they make in a run folder.

The engine knows no stage by its name: what a stage needs is said in its `Stage`.
"""
