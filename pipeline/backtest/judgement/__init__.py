"""Hold the forecast against what the target memorized, by rules declared before."""
