"""What the scan must find in a small corpus, by brute force over `tests.reference`.

A corpus is a list of texts; documents are named by their place in it.
"""

from collections import Counter, defaultdict
from fractions import Fraction
from itertools import combinations, permutations
from math import exp

from tests import reference


def exact_groups(texts):
    """Return the places of equal texts together, all in order of first place."""
    groups = defaultdict(list)
    for place, text in enumerate(texts):
        groups[text.encode()].append(place)
    return list(groups.values())


def pairs(texts, threshold=Fraction(1, 2), size=5):
    """Return (shared, all) shingles of each pair of first places of exact groups at the threshold.

    Keys are (a, b), a < b. Texts without words are in no pair.
    """
    first = [group[0] for group in exact_groups(texts)]
    sets = {place: set(reference.shingles(texts[place], size)) for place in first}
    found = {}
    for a, b in combinations(first, 2):
        shared, either = len(sets[a] & sets[b]), len(sets[a] | sets[b])
        if sets[a] and sets[b] and Fraction(shared, either) >= threshold:
            found[a, b] = (shared, either)
    return found


def contained(texts, threshold=Fraction(1, 2), size=5):
    """Return (shared, own) shingles of each text that a longer one holds to that share.

    Keys are (text, longer text), first places of exact groups; longer: of more words.
    """
    first = [group[0] for group in exact_groups(texts)]
    sets = {place: set(reference.shingles(texts[place], size)) for place in first}
    words = {place: len(reference.words(texts[place])) for place in first}
    found = {}
    for a, b in permutations(first, 2):
        shared = len(sets[a] & sets[b])
        if sets[a] and words[a] < words[b] and Fraction(shared, len(sets[a])) >= threshold:
            found[a, b] = (shared, len(sets[a]))
    return found


def window_counts(texts, size=50):
    """Return (occurrences, distinct documents) of every window that occurs more than once."""
    occurrences: Counter[tuple[str, ...]] = Counter()
    holders: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for place, text in enumerate(texts):
        for window in reference.windows(text, size):
            occurrences[window] += 1
            holders[window].add(place)
    return {
        window: (count, len(holders[window])) for window, count in occurrences.items() if count > 1
    }


def of_runs(done):
    """Return the sorted (occurrences, documents) of the different windows of a run's `windows`."""
    places: Counter[tuple[int, int]] = Counter()
    for windows, *numbers in done.rows("windows", "windows", "occurrences", "documents"):
        places[tuple(numbers)] += windows
    assert all(count % numbers[0] == 0 for numbers, count in places.items())
    return sorted(numbers for numbers, count in places.items() for _ in range(count // numbers[0]))


def runs(texts, size=50):
    """Return, per document, (first_word, windows, occurrences, documents) of its runs."""
    counted, found = window_counts(texts, size), []
    for text in texts:
        own: list[list[int]] = []
        for word, window in enumerate(reference.windows(text, size)):
            numbers = counted.get(window)
            if numbers is None:
                continue
            if own and own[-1][0] + own[-1][1] == word and tuple(own[-1][2:]) == numbers:
                own[-1][1] += 1
            else:
                own.append([word, 1, *numbers])
        found.append([tuple(row) for row in own])
    return found


def spans(texts, size=50):
    """Return, per document, (start_byte, end_byte, words, max_count, documents) of its spans."""
    counted = window_counts(texts, size)
    found = []
    for text in texts:
        own, places = [], reference.byte_spans(text)
        run = []
        for start, window in enumerate([*reference.windows(text, size), None]):
            if window in counted:
                run.append((start, *counted[window]))
            elif run:
                first, last = run[0][0], run[-1][0] + size - 1
                most, wide = max(r[1] for r in run), max(r[2] for r in run)
                own.append((places[first][0], places[last][1], last - first + 1, most, wide))
                run = []
        found.append(own)
    return found


def covered_words(texts, size=50):
    """Return, per document, how many of its word positions lie in a repeated window."""
    counted = window_counts(texts, size)
    return [
        len(
            {
                place
                for start, window in enumerate(reference.windows(text, size))
                if window in counted
                for place in range(start, start + size)
            }
        )
        for text in texts
    ]


def effective_counts(texts, listed):
    """Return, per document, what its copies are worth under the pairs that were listed."""
    groups = exact_groups(texts)
    size = {group[0]: len(group) for group in groups}
    own = {place: len(set(reference.shingles(texts[place]))) for place in size}
    millionths: Counter[int] = Counter()
    for (a, b), (shared, _) in listed.items():
        for here, there in ((a, b), (b, a)):
            rho = exp(-0.113 - 3.50 * (1 - (shared / own[here]) ** 0.2))
            millionths[here] += size[there] * round(1e6 * rho)
    worth = {group[0]: len(group) + millionths[group[0]] / 1e6 for group in groups}
    return [worth[group[0]] for _, group in sorted((p, g) for g in groups for p in g)]
