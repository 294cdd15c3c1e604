import pytest

from pipeline.minhash import s_curve
from schemas.buckets import BUCKETS

pytestmark = pytest.mark.usefixtures("kernels")
SAME_WORDS = [f"One two three four five six{'!' * n}" for n in range(130)]


def neighbours(done, reach):
    """Return the pairs of buckets' members at most `reach` ranks apart."""
    members = {}
    for band, bucket, rank, key, _ in done.rows("buckets", *BUCKETS.names):
        members.setdefault((band, bucket), {})[rank] = key
    return sorted(
        {
            tuple(sorted((ranked[low], ranked[high])))
            for ranked in members.values()
            for low in ranked
            for high in range(low + 1, low + reach + 1)
            if high in ranked
        }
    )


def test_copies_groups_the_same_bytes_only(tmp_path, make_corpus, scan):
    """Texts that differ in case or by one space are no exact copies; over shards the first row
    stands.
    """
    corpus = make_corpus(
        tmp_path / "c", {"a.jsonl": ["x y", "X y", "x y "], "b.jsonl": ["x y", "x  y"]}
    )
    done = scan(corpus, tmp_path / "run", filtered=False)
    second = 2**40
    assert done.rows("copies", "row_key", "representative", "exact_count") == [
        (0, 0, 2),
        (1, 1, 1),
        (2, 2, 1),
        (second, 0, 2),
        (second + 1, second + 1, 1),
    ]


def test_only_representatives_with_words_are_bucketed(tmp_path, make_corpus, scan):
    """A second copy and texts without words are in no bucket and no pair."""
    texts = ["a b c d e f", "a b c d e f", "A b c d e f", "...", "!!!", "..."]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", filtered=False)
    assert set(done.rows("buckets", "row_key", "members")) == {(0, 2), (2, 2)}
    assert done.rows("candidates", "a", "b") == [(0, 2)]


def test_a_bucket_at_the_cap_is_paired_in_full(tmp_path, make_corpus, scan):
    """128 texts of the same words make all 8,128 pairs, and nothing is capped."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": SAME_WORDS[:128]})
    done = scan(corpus, tmp_path / "run", "sketch.bands=1", "sketch.rows=1", filtered=False)
    assert done.table("candidates").num_rows == 8128
    facts = done.manifest["outputs"]["candidates/all"]["facts"]
    assert (facts["capped_buckets"], facts["capped_documents"], facts["largest_bucket"]) == (
        0,
        0,
        128,
    )
    assert set(done.table("counts")["near_capped"].to_pylist()) == {False}


def test_a_bucket_above_the_cap_pairs_each_with_64_neighbours_and_is_marked(
    tmp_path, make_corpus, scan
):
    """130 texts of the same words: each meets the next 64 in rank, and all are marked capped."""
    texts = [*SAME_WORDS, SAME_WORDS[0], "something else altogether is said here"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", "sketch.bands=1", "sketch.rows=1", filtered=False)
    assert done.table("candidates").num_rows == 130 * 64 - 64 * 65 // 2
    assert done.rows("candidates", "a", "b") == neighbours(done, 64)
    facts = done.manifest["outputs"]["candidates/all"]["facts"]
    assert (facts["capped_buckets"], facts["capped_documents"], facts["largest_bucket"]) == (
        1,
        130,
        130,
    )
    assert done.table("counts")["near_capped"].to_pylist() == [True] * 131 + [False]


def test_neighbours_differ_from_band_to_band(tmp_path, make_corpus, scan):
    """With one neighbour a band, two bands find more pairs than one: the order in a bucket is the
    band's own.
    """
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": SAME_WORDS[:30]})
    small = ("near.bucket_cap=5", "near.neighbours=1", "sketch.rows=1")
    one = scan(corpus, tmp_path / "1", "sketch.bands=1", *small, filtered=False)
    four = scan(corpus, tmp_path / "4", "sketch.bands=4", *small, filtered=False)
    assert one.table("candidates").num_rows == 29
    assert four.table("candidates").num_rows > 3 * 29
    assert four.rows("candidates", "a", "b") == neighbours(four, 1)


def test_the_printed_curve_is_the_formula(tmp_path, make_corpus, scan):
    """The manifest tells the probability of proposing a pair: 1 - (1 - s^3)^42."""
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": ["a"]}), tmp_path / "run", filtered=False)
    facts = done.manifest["outputs"]["candidates/all"]["facts"]
    assert facts["s_curve"]["0.5"] == round(1 - 0.875**42, 6) == 0.996333
    assert facts["s_curve"]["0.3"] == round(s_curve(0.3, 42, 3), 6)
    assert list(facts["s_curve"]) == ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
