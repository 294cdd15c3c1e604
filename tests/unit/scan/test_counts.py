import pytest

from tests import truth

BASE = " ".join(f"w{n}" for n in range(40))
TEXTS = [
    BASE,
    f"{BASE} more",
    BASE,
    f"{BASE} more words at the end of it all",
    "short one",
    "...",
    "Short, one",
    f"{BASE} more",
    "nothing of this is said anywhere else",
]


def test_exact_and_effective_counts_follow_the_pairs(tmp_path, make_corpus, scan):
    """Exact counts are the groups' sizes; effective counts are the formula over the pairs of the
    corpus.
    """
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": TEXTS}), tmp_path / "run", filtered=False)
    listed = {(a, b): (i, u) for a, b, i, u in done.rows("pairs", "a", "b", "inter", "union")}
    assert listed == truth.pairs(TEXTS)
    found = done.table("counts")
    sizes = {p: len(group) for group in truth.exact_groups(TEXTS) for p in group}
    assert found["exact_count"].to_pylist() == [sizes[p] for p in range(len(TEXTS))]
    expected = truth.effective_counts(TEXTS, listed)
    assert found["effective_count"].to_pylist() == pytest.approx(expected, abs=1e-9)
    assert expected[4] == pytest.approx(1.893151)


def test_names_rows_and_folders(tmp_path, make_corpus, scan):
    """Rejected rows keep their place; ids are the user's, else shard#row; folders group what has no
    source.
    """
    corpus = make_corpus(
        tmp_path / "c",
        {
            "top.jsonl": ["a", "", {"text": "b", "id": "mine"}],
            "in/deep/x.jsonl": [{"text": "c", "id": 7}, {"text": "d", "id": 7}],
        },
    )
    done = scan(corpus, tmp_path / "run", "input.id=id", filtered=False)
    assert done.rows("counts", "row_key", "doc_id", "shard", "row", "source_group") == [
        (0, "7", "in/deep/x.jsonl", 0, "in/deep"),
        (1, "7", "in/deep/x.jsonl", 1, "in/deep"),
        (2**40, "top.jsonl#0", "top.jsonl", 0, "(top folder)"),
        (2**40 + 2, "mine", "top.jsonl", 2, "(top folder)"),
    ]


def test_a_source_column_groups_and_null_is_none(tmp_path, make_corpus, scan):
    """Values that repeat ten times on average are the groups; a null source is `(none)`."""
    rows = [{"text": f"t{n}", "from": "web" if n % 2 else "book"} for n in range(20)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [*rows, {"text": "x", "from": None}]})
    done = scan(corpus, tmp_path / "run", "input.source=from", filtered=False)
    groups = done.table("counts")["source_group"].to_pylist()
    assert groups == ["book", "web"] * 10 + ["(none)"]
    assert done.table("counts")["source"].to_pylist()[-1] is None


def test_a_corpus_without_a_single_document_is_counted(tmp_path, make_corpus, scan):
    """When every row is rejected all tables are there, and empty."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["", ""]})
    done = scan(corpus, tmp_path / "run", "input.most_rejected=1")
    assert done.table("counts").num_rows == 0
    assert done.table("documents").num_rows == 0
    assert done.table("kept").num_rows == 0
    assert done.table("rejected").num_rows == 2
