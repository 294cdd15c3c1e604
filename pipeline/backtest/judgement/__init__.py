"""The judgement of a back-test: the forecast against the truth, by rules declared before."""
