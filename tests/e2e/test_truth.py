"""What a scan and a filter find among planted copies, held against brute force."""

from collections import Counter
from fractions import Fraction

import pyarrow.parquet as pq
import pytest

from tests import reference, truth
from tests.e2e import corpora
from tests.e2e.command import rote

DOCUMENTS = 300
BORDERS = (Fraction(1, 2), Fraction(4, 5))


@pytest.fixture(scope="module")
def texts():
    """Return the texts of the corpus."""
    return corpora.planted(DOCUMENTS)


@pytest.fixture(scope="module")
def run(tmp_path_factory, texts):
    """Scan and filter the texts in three shards; return the run folder."""
    folder = tmp_path_factory.mktemp("truth")
    third = DOCUMENTS // 3
    for number, name in enumerate(("a.jsonl", "b.parquet", "c.jsonl.gz")):
        own = range(number * third, (number + 1) * third)
        corpora.write(
            folder / "corpus" / name, [{"id": str(place), "text": texts[place]} for place in own]
        )
    assert rote("scan", folder / "corpus", "--out", folder / "run", "--local").code == 0
    assert rote("filter", folder / "run", "--local").code == 0
    return folder / "run"


@pytest.fixture(scope="module")
def documents(run):
    """Return the rows of `documents` in the order of the texts."""
    rows = pq.read_table(run / "documents").to_pylist()
    return sorted(rows, key=lambda row: int(row["doc_id"]))


@pytest.fixture(scope="module")
def listed(run, documents):
    """Return the rows of `pairs` by the places of their texts."""
    place = {row["row_key"]: int(row["doc_id"]) for row in documents}
    return {
        (place[row["a"]], place[row["b"]]): row for row in pq.read_table(run / "pairs").to_pylist()
    }


@pytest.fixture(scope="module")
def true_pairs(texts):
    """Return the pairs at 0.5 or above by brute force."""
    return truth.pairs(texts)


def test_the_planted_corpus_has_every_kind(texts, true_pairs):
    """Copies, near copies of all degrees, short and wordless texts are there to be found."""
    degrees = Counter(int(10 * Fraction(*shared)) for shared in true_pairs.values())
    assert set(degrees) == {5, 6, 7, 8, 9, 10}
    assert sum(len(group) > 1 for group in truth.exact_groups(texts)) > 20
    lengths = [len(reference.words(text)) for text in texts]
    assert min(lengths) == 0
    assert sum(0 < length < 5 for length in lengths) > 10
    assert sum(reference.is_word_itself(text[0]) for text in texts) > 10


def test_exact_groups_are_those_of_equal_bytes(texts, documents):
    """Every document counts its equals, and its group is named after the first of them."""
    for group in truth.exact_groups(texts):
        rows = [documents[place] for place in group]
        assert {row["exact_count"] for row in rows} == {len(group)}
        assert {row["representative"] for row in rows} == {documents[group[0]]["row_key"]}


def test_every_listed_pair_is_exact_and_all_near_ones_are_listed(listed, true_pairs):
    """The shingles of each pair are those of brute force; none at 0.8 or above is missing."""
    assert {
        ends: (row["inter"], row["union"]) for ends, row in listed.items()
    }.items() <= true_pairs.items()
    near = {ends for ends, (shared, either) in true_pairs.items() if 5 * shared >= 4 * either}
    assert near <= listed.keys()
    assert len(near) > 30
    border = [ends for ends, shared in true_pairs.items() if Fraction(*shared) in BORDERS]
    assert len(border) >= 6
    assert listed.keys() >= set(border)
    assert len(listed) >= 0.98 * len(true_pairs)
    assert all(row["jaccard"] == row["inter"] / row["union"] for row in listed.values())


def test_no_pair_at_the_threshold_has_both_sides_kept(documents, true_pairs):
    """Of every two documents as near as 0.8 by brute force at least one is removed."""
    kept = {int(row["doc_id"]) for row in documents if row["keeper"] is None}
    representative = {row["row_key"]: int(row["doc_id"]) for row in documents}
    group_kept = {representative[documents[place]["representative"]] for place in kept}
    both = [
        ends
        for ends, (shared, either) in true_pairs.items()
        if 5 * shared >= 4 * either and group_kept.issuperset(ends)
    ]
    assert both == []
    copies = Counter(documents[place]["text_hash"] for place in kept)
    assert set(copies.values()) == {1}


def test_every_removal_is_proved(texts, documents):
    """Each removed document is as near to its keeper as it says, and the keeper stays."""
    removed = [row for row in documents if row["keeper"] is not None]
    kept = {row["row_key"]: row for row in documents if row["keeper"] is None}
    assert len(removed) > 80
    for row in removed:
        keeper = kept[row["keeper"]]
        own, other = (texts[int(one["doc_id"])] for one in (row, keeper))
        assert keeper["doc_id"] == row["keeper_doc_id"]
        assert (row["method"] == "exact") == (own == other)
        if row["method"] == "near":
            shared, either = reference.jaccard(own, other)
            assert 5 * shared >= 4 * either
            assert row["jaccard"] == shared / either


def test_the_longest_of_its_neighbours_is_never_removed(texts, documents, true_pairs):
    """A document that is longer than everything near it stays, since the longest is kept."""
    lengths = [len(text.encode()) for text in texts]
    for group in truth.exact_groups(texts):
        near = [b if a == group[0] else a for a, b in true_pairs if group[0] in (a, b)]
        if all(lengths[other] < lengths[group[0]] for other in near):
            assert documents[group[0]]["keeper"] is None


def test_near_and_effective_counts_are_those_of_the_listed_pairs(texts, documents, listed):
    """Near counts add the groups at 0.8, effective counts weigh all listed ones."""
    shared = {ends: (row["inter"], row["union"]) for ends, row in listed.items()}
    worth = truth.effective_counts(texts, shared)
    found = [row["effective_count"] for row in documents]
    assert found == pytest.approx(worth, abs=1e-9)
    near: Counter[int] = Counter()
    for (a, b), (inter, union) in shared.items():
        if 5 * inter >= 4 * union:
            near[a] += documents[b]["exact_count"]
            near[b] += documents[a]["exact_count"]
    first = {row["row_key"]: int(row["doc_id"]) for row in documents}
    assert [row["near_count"] for row in documents] == [
        row["exact_count"] + near[first[row["representative"]]] for row in documents
    ]


def test_window_counts_and_repeated_words_are_exact(texts, documents):
    """Each document's largest window count and repeated words are those of brute force."""
    counted = truth.window_counts(texts)
    largest = [
        max((counted.get(window, (1, 1))[0] for window in reference.windows(text)), default=0)
        for text in texts
    ]
    assert max(largest) > 10
    assert [row["max_window_count"] for row in documents] == largest
    assert [row["repeated_words"] for row in documents] == truth.covered_words(texts)
    assert [row["words"] for row in documents] == [len(reference.words(text)) for text in texts]


def test_spans_are_maximal_runs_of_repeated_windows(run, texts, documents):
    """Bytes, words and counts of every span are those of brute force."""
    found: dict[int, list[tuple[int, ...]]] = {row["row_key"]: [] for row in documents}
    columns = ("start_byte", "end_byte", "words", "max_count", "documents")
    for row in pq.read_table(run / "spans").to_pylist():
        found[row["row_key"]].append(tuple(row[column] for column in columns))
    spans = [sorted(found[row["row_key"]]) for row in documents]
    assert spans == [sorted(own) for own in truth.spans(texts)]
    assert sum(map(len, spans)) > 50
