import hashlib
import random
from fractions import Fraction

import pyarrow as pa
import pytest

from pipeline.config import NearConfig
from pipeline.documents import RANKED_BY, keepers, ranks
from schemas.counts import COUNTS
from schemas.pairs import PAIRS
from tests import truth

BASE = [f"w{n}" for n in range(100)]


def digest(text):
    """Return a text hash."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def counts(*documents):
    """Return rows of `counts` from (text, bytes) or (text, bytes, priority) or (.., shard, row)."""
    texts = [document[0] for document in documents]
    padded = [(*d, *(None, "s", n)[len(d) - 2 :]) for n, d in enumerate(documents)]
    columns = {
        "row_key": list(range(len(texts))),
        "representative": [texts.index(text) for text in texts],
        "priority": [d[2] for d in padded],
        "text_bytes": [d[1] for d in padded],
        "shard": [d[3] for d in padded],
        "row": [d[4] for d in padded],
        "exact_count": [texts.count(text) for text in texts],
        "text_hash": [digest(text) for text in texts],
    }
    return pa.table(columns, schema=pa.schema([COUNTS.field(name) for name in RANKED_BY]))


def near(*pairs):
    """Return rows of `pairs` from (a, b, inter, union)."""
    rows = [
        {"a": a, "b": b, "inter": i, "union": u, "size_a": u, "size_b": i, "jaccard": i / u}
        for a, b, i, u in pairs
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def gone(found):
    """Return {document: (keeper, method, jaccard)} of the documents that go."""
    return {
        row["row_key"]: (row["keeper"], row["method"], row["jaccard"])
        for row in found.to_pylist()
        if row["keeper"] is not None
    }


def decide(documents, pairs=(), **config):
    """Return who goes where."""
    return gone(keepers(counts(*documents), near(*pairs), NearConfig(**config)))


def test_of_two_near_copies_the_longest_stays():
    """The shorter text goes to the longer one with the Jaccard of the pair."""
    assert decide([("a", 10), ("b", 20)], [(0, 1, 9, 10)]) == {0: (1, "near", 0.9)}


def test_of_two_near_copies_the_earliest_stays_when_asked():
    """With `earliest` length does not count: shard path, then row."""
    documents = [("a", 10, None, "y", 0), ("b", 20, None, "x", 9), ("c", 1, None, "x", 3)]
    pairs = [(0, 1, 9, 10), (0, 2, 9, 10), (1, 2, 9, 10)]
    assert decide(documents, pairs, keep="earliest") == {
        0: (2, "near", 0.9),
        1: (2, "near", 0.9),
    }


def test_equal_length_falls_back_to_path_and_row():
    """Ties of length go by shard path, then row, not by row_key."""
    documents = [("a", 10, None, "y", 0), ("b", 10, None, "x", 9), ("c", 10, None, "x", 3)]
    assert decide(documents, [(0, 1, 9, 10)]) == {0: (1, "near", 0.9)}
    assert decide(documents, [(1, 2, 9, 10)]) == {1: (2, "near", 0.9)}


@pytest.mark.parametrize("keep", ["longest", "earliest"])
def test_priority_comes_first_and_null_last(keep):
    """A higher priority beats length and place; no priority is below any, a negative one too."""
    documents = [("a", 99, None, "a", 0), ("b", 50, -5.0, "b", 0), ("c", 1, 2.5, "c", 0)]
    pairs = [(0, 1, 9, 10), (0, 2, 9, 10), (1, 2, 9, 10)]
    assert decide(documents, pairs, keep=keep) == {0: (2, "near", 0.9), 1: (2, "near", 0.9)}
    assert decide(documents, pairs[:1], keep=keep) == {0: (1, "near", 0.9)}
    assert ranks(counts(*documents), NearConfig(keep=keep)).tolist() == [2, 1, 0]


def test_exact_copies_go_to_the_best_of_them():
    """Equal texts keep the row of highest priority, then the earliest; the proof is exact."""
    documents = [("a", 5), ("a", 5), ("a", 5, 1.0), ("b", 5)]
    assert decide(documents) == {0: (2, "exact", 1.0), 1: (2, "exact", 1.0)}


def test_nothing_is_removed_by_transitivity():
    """In a chain a~b~c where a and c are not near, the middle goes and both ends stay."""
    chain = [(0, 1, 9, 10), (1, 2, 8, 10)]
    assert decide([("a", 30), ("b", 10), ("c", 20)], chain) == {1: (0, "near", 0.9)}
    # from the best end, the middle goes to it and the far end has no kept neighbour
    assert decide([("a", 30), ("b", 20), ("c", 10)], chain) == {1: (0, "near", 0.9)}
    # a middle that stands takes both ends
    assert decide([("a", 10), ("b", 30), ("c", 20)], chain) == {
        0: (1, "near", 0.9),
        2: (1, "near", 0.8),
    }


def test_the_keeper_is_the_nearest_kept_neighbour_then_the_best():
    """Of several kept neighbours of better rank the highest Jaccard wins; rank breaks ties."""
    documents = [("a", 30), ("b", 20), ("c", 10)]
    assert decide(documents, [(0, 2, 8, 10), (1, 2, 9, 10)]) == {2: (1, "near", 0.9)}
    assert decide(documents, [(0, 2, 9, 10), (1, 2, 18, 20)]) == {2: (0, "near", 0.9)}


def test_a_neighbour_that_went_is_no_keeper():
    """The nearest neighbour is removed itself, so the document goes to the kept one that it was
    verified against.
    """
    documents = [("a", 30), ("b", 20), ("c", 10)]
    pairs = [(0, 1, 9, 10), (0, 2, 8, 10), (1, 2, 95, 100)]
    assert decide(documents, pairs) == {1: (0, "near", 0.9), 2: (0, "near", 0.8)}


def test_exact_copies_of_a_removed_text_go_as_near():
    """All copies of the removed text name the kept text's best row, with the Jaccard to it."""
    documents = [("a", 20), ("b", 10), ("b", 10), ("a", 20, 1.0)]
    assert decide(documents, [(0, 1, 9, 10)]) == {
        0: (3, "exact", 1.0),
        1: (3, "near", 0.9),
        2: (3, "near", 0.9),
    }


def test_a_group_ranks_by_its_best_row():
    """A short text with one row of high priority stands before a longer one."""
    documents = [("long", 90), ("short", 10), ("short", 10, 7.0)]
    assert decide(documents, [(0, 1, 9, 10)]) == {0: (2, "near", 0.9), 1: (2, "exact", 1.0)}


@pytest.mark.parametrize(
    ("threshold", "inter", "union", "goes"),
    [
        (0.8, 4, 5, True),
        (0.8, 3_999_999_999, 5_000_000_000 - 10**9, True),
        (0.8, 79_999, 100_000, False),
        (0.8, 80_000, 100_000, True),
        (0.5, 1, 2, True),
        (0.5, 499_999, 1_000_000, False),
        (1.0, 10, 10, True),
        (1.0, 9_999_999, 10_000_000, False),
        (2 / 3, 2_000_000_000, 3_000_000_000, True),
        (0.8333333333333334, 2_499_999_999, 3_000_000_000, False),
    ],
)
def test_thresholds_are_compared_as_integers(threshold, inter, union, goes):
    """A pair exactly at the threshold goes, one shingle below stays, at any size."""
    config = {"threshold": threshold, "count_threshold": min(threshold, 0.5)}
    found = decide([("a", 2), ("b", 1)], [(0, 1, inter, union)], **config)
    assert bool(found) == goes


def test_pairs_below_the_threshold_are_counted_nowhere_here():
    """A pair between the counting and the removal threshold changes no count, cluster or keeper."""
    found = keepers(counts(("a", 2), ("b", 1)), near((0, 1, 7, 10)), NearConfig())
    assert gone(found) == {}
    assert found["near_count"].to_pylist() == [1, 1]
    assert found["cluster"].to_pylist() == [digest("a").hex(), digest("b").hex()]


def test_near_counts_are_of_direct_neighbours_with_their_copies():
    """In a~b~c, b counts all, a and c do not count each other; copies have their group's count."""
    documents = [("a", 30), ("a", 30), ("b", 20), ("c", 10), ("c", 10), ("c", 10), ("d", 1)]
    found = keepers(counts(*documents), near((0, 2, 9, 10), (2, 3, 9, 10)), NearConfig())
    assert found["near_count"].to_pylist() == [3, 3, 6, 4, 4, 4, 1]


def test_a_cluster_is_a_component_named_after_its_smallest_hash():
    """Chains join a cluster even where nothing is removed by them."""
    found = keepers(
        counts(("a", 30), ("b", 20), ("c", 10), ("d", 1)),
        near((0, 1, 9, 10), (1, 2, 9, 10)),
        NearConfig(),
    )
    name = min(digest(text) for text in "abc").hex()
    assert found["cluster"].to_pylist() == [name, name, name, digest("d").hex()]


def test_no_documents_give_no_rows():
    """An empty corpus is no error."""
    assert keepers(counts(), near(), NearConfig()).num_rows == 0


@pytest.mark.parametrize("seed", range(20))
def test_every_removal_is_proved_and_no_pair_is_left(seed):
    """On random graphs: a keeper stands, is verified and the nearest of better rank; no pair has
    both sides kept.
    """
    draw = random.Random(seed)  # noqa: S311
    texts = [str(draw.randrange(15)) for _ in range(25)]
    documents = [
        (text, 10 + int(text) % 4, draw.choice([None, 1.0, 2.0]), draw.choice("xy"), n)
        for n, text in enumerate(texts)
    ]
    first = sorted({texts.index(text) for text in texts})
    pairs = [
        (a, b, draw.randint(6, 10), 10)
        for a in first
        for b in first
        if a < b and draw.random() < 0.3
    ]
    table = counts(*documents)
    config = NearConfig(keep=draw.choice(["longest", "earliest"]))
    removed = gone(keepers(table, near(*pairs), config))
    rank = ranks(table, config).tolist()
    proof = {frozenset(p[:2]): Fraction(p[2], p[3]) for p in pairs if 10 * p[2] >= 8 * p[3]}

    def jaccard(a, b):
        groups = frozenset((texts.index(texts[a]), texts.index(texts[b])))
        return Fraction(1) if len(groups) == 1 else proof.get(groups, Fraction(0))

    standing = [n for n in range(25) if n not in removed]
    for a in standing:
        assert not [b for b in standing if b != a and jaccard(a, b) > 0]
    for document, (keeper, method, similarity) in removed.items():
        assert keeper in standing
        assert similarity == float(jaccard(document, keeper))
        assert (method == "exact") == (texts[document] == texts[keeper])
        if method == "near":
            own = min(rank[n] for n in range(25) if texts[n] == texts[document])
            better = [n for n in standing if rank[n] < own]
            best = max((jaccard(document, n), -rank[n]) for n in better)
            assert best == (jaccard(document, keeper), -rank[keeper])


@pytest.mark.usefixtures("kernels")
def test_a_whole_run_names_keepers_and_methods(tmp_path, make_corpus, scan):
    """From texts to `documents`: near counts, keepers and their names, and every proof holds by
    brute force.
    """
    texts = [
        " ".join([*BASE, "tail"]),
        " ".join(BASE),
        " ".join(BASE),
        "Quite another text of a few words.",
        " ".join(BASE[:95]),
    ]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts[:2], "b.jsonl": texts[2:]})
    done = scan(corpus, tmp_path / "run")
    second = 2**40
    assert done.rows("documents", "row_key", "near_count", "keeper", "keeper_doc_id", "method") == [
        (0, 4, None, None, None),
        (1, 4, 0, "a.jsonl#0", "near"),
        (second, 4, 0, "a.jsonl#0", "near"),
        (second + 1, 1, None, None, None),
        (second + 2, 4, 0, "a.jsonl#0", "near"),
    ]
    listed = truth.pairs(texts, Fraction(4, 5))
    assert done.rows("documents", "jaccard") == [
        (None,),
        (96 / 97,),
        (96 / 97,),
        (None,),
        (91 / 97,),
    ]
    assert listed[0, 1] == (96, 97)
    assert listed[0, 4] == (91, 97)
