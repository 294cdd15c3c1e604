"""What two texts share, by brute force over lists of words."""


def runs(one, size):
    """Return the runs of `size` words of some words."""
    return [tuple(one[k : k + size]) for k in range(len(one) - size + 1)] if size else []


def shingles(one):
    """Return the shingle set of some words."""
    return set(runs(one, min(5, len(one)))) if one else set()


def longest(own, other, least):
    """Return the words of the longest run that two texts share, 0 when it is below `least`."""
    sizes = [n for n in range(least, len(own) + 1) if set(runs(own, n)) & set(runs(other, n))]
    return max(sizes, default=0)


def covered(own, others, size):
    """Return the places of a text in runs of `size` words that one of the others has."""
    there = {run for other in others for run in runs(other, size)}
    return {k + n for k, run in enumerate(runs(own, size)) if run in there for n in range(size)}
