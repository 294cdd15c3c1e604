import hashlib
import random
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.config.sections import NearConfig
from pipeline.engine.manifest import saved_config
from pipeline.engine.spill import Spill
from pipeline.errors import ConfigError, IntegrityError
from pipeline.filter import documents
from pipeline.filter.documents import COMPARED_BY, RANKED_BY, Room, _joined, keepers, ranks
from pipeline.filter.sources import SOURCES
from schemas.filter.documents import DOCUMENTS
from schemas.scan.contained import CONTAINED
from schemas.scan.counts import COUNTS
from schemas.scan.pairs import PAIRS
from tests import truth

BASE = [f"w{n}" for n in range(100)]


def digest(text):
    """Return a text hash."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def counts(*documents, sources=None):
    """Return rows of `counts` from (text, bytes) or (text, bytes, priority) or (.., shard, row).

    sources: (source, source_group) of each.
    """
    texts = [document[0] for document in documents]
    padded = [(*d, *(None, "s", n)[len(d) - 2 :]) for n, d in enumerate(documents)]
    sources = [(None, "g")] * len(texts) if sources is None else sources
    columns = {
        "row_key": list(range(len(texts))),
        "representative": [texts.index(text) for text in texts],
        "priority": [d[2] for d in padded],
        "priority_rest": [0.0] * len(padded),
        "text_bytes": [d[1] for d in padded],
        "shard": [d[3] for d in padded],
        "row": [d[4] for d in padded],
        "exact_count": [texts.count(text) for text in texts],
        "text_hash": [digest(text) for text in texts],
        "source": [source for source, _ in sources],
        "source_group": [group for _, group in sources],
        "words": [len(texts)] * len(texts),
        "symbols": [""] * len(texts),
        "split": [None] * len(texts),
    }
    names = dict.fromkeys((*RANKED_BY, *COMPARED_BY, *SOURCES))
    return pa.table(columns, schema=pa.schema([COUNTS.field(name) for name in names]))


def near(*pairs):
    """Return rows of `pairs` from (a, b, inter, union)."""
    rows = [
        {"a": a, "b": b, "inter": i, "union": u, "size_a": u, "size_b": i, "jaccard": i / u}
        for a, b, i, u in pairs
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def within(*pairs):
    """Return rows of `contained` from (document, container, inter, size)."""
    rows = [
        {
            "document": d,
            "container": c,
            "inter": i,
            "size": s,
            "container_size": min(9 * s, 2**32 - 1),
            "containment": i / s,
        }
        for d, c, i, s in pairs
    ]
    return pa.Table.from_pylist(rows, schema=CONTAINED)


def gone(found):
    """Return {document: (keeper, method, jaccard)} of the documents that go."""
    return {
        row["row_key"]: (row["keeper"], row["method"], row["jaccard"])
        for row in found.to_pylist()
        if row["keeper"] is not None
    }


def decide(documents, pairs=(), contained=(), sources=None, **config):
    """Return who goes where."""
    table = counts(*documents, sources=sources)
    return gone(keepers(table, [near(*pairs)], [within(*contained)], NearConfig(**config)))


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
    found = keepers(counts(("a", 2), ("b", 1)), [near((0, 1, 7, 10))], [], NearConfig())
    assert gone(found) == {}
    assert found["near_count"].to_pylist() == [1, 1]
    assert found["cluster"].to_pylist() == [digest("a").hex(), digest("b").hex()]


def test_near_counts_are_of_direct_neighbours_with_their_copies():
    """In a~b~c, b counts all, a and c do not count each other; copies have their group's count."""
    documents = [("a", 30), ("a", 30), ("b", 20), ("c", 10), ("c", 10), ("c", 10), ("d", 1)]
    found = keepers(counts(*documents), [near((0, 2, 9, 10), (2, 3, 9, 10))], [], NearConfig())
    assert found["near_count"].to_pylist() == [3, 3, 6, 4, 4, 4, 1]


def test_a_cluster_is_a_component_named_after_its_smallest_hash():
    """Chains join a cluster even where nothing is removed by them."""
    found = keepers(
        counts(("a", 30), ("b", 20), ("c", 10), ("d", 1)),
        [near((0, 1, 9, 10), (1, 2, 9, 10))],
        [],
        NearConfig(),
    )
    name = min(digest(text) for text in "abc").hex()
    assert found["cluster"].to_pylist() == [name, name, name, digest("d").hex()]


def test_no_documents_give_no_rows():
    """An empty corpus is no error."""
    assert keepers(counts(), [near()], [within()], NearConfig()).num_rows == 0


@pytest.mark.parametrize("seed", range(40))
def test_every_removal_is_proved_and_no_pair_is_left(seed):
    """On random graphs: a keeper stands, is verified and the nearest of better rank; no pair has
    both sides kept; what is contained in a kept text of better rank goes.
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
    inside = [
        (a, b, draw.randint(5, 10), 10)
        for a in first
        for b in first
        if int(texts[a]) < int(texts[b]) and draw.random() < 0.3
    ]
    sources = [(draw.choice(["s", "t", None]), draw.choice("uv")) for _ in texts]
    table = counts(*documents, sources=sources)
    config = NearConfig(
        keep=draw.choice(["longest", "earliest"]),
        sources=draw.choice([(), ("t", "v"), ("u",)]),
        containment=draw.choice([0, 0.7, 1]),
    )
    found = keepers(table, [near(*pairs)], [within(*inside)], config)
    parts = [near(*pairs[k : k + 3]) for k in range(0, len(pairs), 3)]
    little = Room(draw.choice([1, 2, 7]), Spill(Path(), 2**62))
    assert found.equals(keepers(table, parts, [within(*inside)], config, little))
    removed = {row["row_key"]: row for row in found.to_pylist() if row["keeper"] is not None}
    rank = ranks(table, config).tolist()
    proof = {frozenset(p[:2]): Fraction(p[2], p[3]) for p in pairs if 10 * p[2] >= 8 * p[3]}
    share = {p[:2]: Fraction(p[2], p[3]) for p in inside}

    def jaccard(a, b):
        groups = frozenset((texts.index(texts[a]), texts.index(texts[b])))
        return Fraction(1) if len(groups) == 1 else proof.get(groups, Fraction(0))

    def containment(a, b):
        found = share.get((texts.index(texts[a]), texts.index(texts[b])), Fraction(0))
        return found if config.containment and float(found) >= config.containment else Fraction(0)

    standing = [n for n in range(25) if n not in removed]
    for a in standing:
        assert not [b for b in standing if b != a and jaccard(a, b) > 0]
        assert not [b for b in standing if rank[b] < rank[a] and containment(a, b) > 0]
    for document, row in removed.items():
        keeper, method = row["keeper"], row["method"]
        assert keeper in standing
        assert (method == "exact") == (texts[document] == texts[keeper])
        measured = containment if method == "contained" else jaccard
        assert row["measure"] == measured.__name__
        assert row["score"] == float(measured(document, keeper))
        assert row["jaccard"] == (None if method == "contained" else row["score"])
        if method != "exact":
            own = min(rank[n] for n in range(25) if texts[n] == texts[document])
            better = [n for n in standing if rank[n] < own]
            best = max((measured(document, n), -rank[n]) for n in better)
            assert best == (measured(document, keeper), -rank[keeper])
        if method == "contained":
            assert not [n for n in better if jaccard(document, n) > 0]


BEST_FIRST = [
    # text, bytes, priority, shard, row; source, group: each beats the next by one criterion alone
    (("a", 1, 2.0, "z", 9), (None, "none")),  # priority, against all else
    (("b", 1, 1.0, "z", 9), ("wiki", "none")),  # an earlier source than books
    (("c", 2, 1.0, "z", 9), ("x", "books")),  # longer
    (("d", 1, 1.0, "a", 9), ("books", "none")),  # path
    (("e", 1, 1.0, "b", 3), ("x", "books")),  # row
    (("f", 1, 1.0, "b", 4), ("x", "books")),  # a source that is named at all
    (("g", 9, 1.0, "a", 0), ("web", "none")),  # a priority at all
    (("h", 9, None, "a", 0), ("wiki", "books")),
]


@pytest.mark.parametrize("turned", [False, True])
def test_each_criterion_decides_only_when_those_before_it_tie(turned):
    """Priority, source, length, path, row: a later one never outweighs an earlier one."""
    listed = BEST_FIRST[::-1] if turned else BEST_FIRST
    documents, sources = zip(*listed, strict=True)
    config = NearConfig(sources=("wiki", "books"))
    found = ranks(counts(*documents, sources=sources), config).tolist()
    assert found == (list(range(8))[::-1] if turned else list(range(8)))


def test_with_earliest_the_source_still_comes_first():
    """`earliest` leaves out length alone; without preferred sources none matters."""
    documents = [("a", 9, None, "a", 0), ("b", 1, None, "b", 0), ("c", 5, None, "b", 1)]
    table = counts(*documents, sources=[("web", "g"), ("wiki", "g"), (None, "wiki")])
    assert ranks(table, NearConfig(keep="earliest", sources="wiki")).tolist() == [2, 0, 1]
    assert ranks(table, NearConfig(sources="wiki")).tolist() == [2, 1, 0]
    assert ranks(table, NearConfig(keep="earliest")).tolist() == [0, 1, 2]
    assert ranks(table, NearConfig()).tolist() == [0, 2, 1]


def test_sources_alone_change_nothing():
    """Without a preference the longest stays, wherever it is from."""
    documents = [("long", 90), ("short", 10), ("long", 90)]
    sources = [("web", "g"), ("books", "g"), ("wiki", "g")]
    assert decide(documents, [(0, 1, 9, 10)], sources=sources) == {
        1: (0, "near", 0.9),
        2: (0, "exact", 1.0),
    }


@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        (("books", "wiki"), {0: (1, "near", 0.9), 2: (1, "near", 0.9)}),
        (("wiki",), {0: (2, "exact", 1.0), 1: (2, "near", 0.9)}),
        (("web",), {1: (0, "near", 0.9), 2: (0, "exact", 1.0)}),
    ],
)
def test_preferred_sources_name_the_keeper(preferred, expected):
    """A group of equal texts ranks by the best of its rows' sources."""
    documents = [("long", 90), ("short", 10), ("long", 90)]
    config = NearConfig(sources=preferred)
    table = counts(*documents, sources=[("web", "g"), ("books", "g"), (None, "wiki")])
    assert gone(keepers(table, [near((0, 1, 9, 10))], [], config)) == expected


def test_an_excerpt_goes_to_the_longer_text():
    """With a threshold of containment a text goes to the kept one that holds most of it."""
    documents = [("a", 10), ("b", 90), ("c", 80)]
    inside = [(0, 1, 8, 10), (0, 2, 9, 10)]
    assert decide(documents, contained=inside) == {}
    assert decide(documents, contained=inside, containment=0.8) == {0: (2, "contained", None)}
    assert decide(documents, contained=inside, containment=0.95) == {}
    found = keepers(counts(*documents), [], [within(*inside)], NearConfig(containment=0.9))
    assert found.select(["score", "measure"]).to_pylist()[0] == {
        "score": 0.9,
        "measure": "containment",
    }
    assert found["near_count"].to_pylist() == [1, 1, 1]
    assert len(set(found["cluster"].to_pylist())) == 3


def test_a_near_copy_comes_before_a_container():
    """A near copy that stays is the keeper, even where a longer text holds all of it."""
    documents = [("a", 10), ("b", 90), ("c", 20)]
    inside = [(0, 1, 10, 10)]
    found = decide(documents, [(0, 2, 8, 10)], inside, containment=0.9)
    assert found == {0: (2, "near", 0.8)}


def test_a_container_that_went_is_no_keeper():
    """In a chain each goes to one that stays, and only where it is proved against that one."""
    documents = [("a", 10), ("b", 20), ("c", 30)]
    chain = [(0, 1, 9, 10), (1, 2, 9, 10)]
    assert decide(documents, contained=chain, containment=0.9) == {1: (2, "contained", None)}
    both = [*chain, (0, 2, 18, 20)]
    assert decide(documents, contained=both, containment=0.9) == {
        0: (2, "contained", None),
        1: (2, "contained", None),
    }
    # a container that is a near copy of another went before
    assert decide(documents, [(1, 2, 9, 10)], chain[:1], containment=0.9) == {1: (2, "near", 0.9)}


def test_an_excerpt_that_ranks_first_stays():
    """Priority, or being the earlier one, keeps an excerpt and the text that holds it."""
    inside = [(0, 1, 10, 10)]
    assert decide([("a", 10, 1.0), ("b", 20)], contained=inside, containment=0.9) == {}
    documents = [("a", 10), ("b", 20)]
    assert decide(documents, contained=inside, containment=0.9, keep="earliest") == {}
    assert decide(
        documents[::-1], contained=[(1, 0, 10, 10)], containment=0.9, keep="earliest"
    ) == {1: (0, "contained", None)}


def test_exact_copies_of_an_excerpt_go_with_it():
    """All rows of the text name the container's best row, with the share as their proof."""
    documents = [("a", 10), ("b", 90), ("a", 10), ("b", 90, 1.0)]
    assert decide(documents, contained=[(0, 1, 9, 10)], containment=0.9) == {
        0: (3, "contained", None),
        1: (3, "exact", 1.0),
        2: (3, "contained", None),
    }


@pytest.mark.parametrize(
    ("threshold", "inter", "size", "goes"),
    [
        (0.9, 9, 10, True),
        (0.9, 3_599_999_999, 4_000_000_000, False),
        (0.9, 3_600_000_000, 4_000_000_000, True),
        (2 / 3, 2_000_000_000, 3_000_000_000, True),
        (1.0, 4_000_000_000, 4_000_000_000, True),
        (1.0, 3_999_999_999, 4_000_000_000, False),
    ],
)
def test_shares_are_compared_as_integers(threshold, inter, size, goes):
    """An excerpt exactly at the threshold goes, one shingle below stays, at any size."""
    found = decide([("a", 1), ("b", 2)], contained=[(0, 1, inter, size)], containment=threshold)
    assert bool(found) == goes


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


def test_a_preferred_source_that_does_not_occur_is_told(tmp_path, make_corpus, scan):
    """A misspelt source stops the filter and names what is there; values and groups are known."""
    rows = [{"text": f"text {n}", "source": f"{'ab'[n % 2]}/{n}"} for n in range(40)]
    corpus = make_corpus(tmp_path / "c", {"x.jsonl": rows})
    settings = ("input.source=source", "input.text=text")
    with pytest.raises(ConfigError, match="does not occur") as refused:
        scan(corpus, tmp_path / "run", *settings, 'near.sources=["b", "a/", "c"]')
    assert refused.value.where == "near.sources"
    assert refused.value.found == "'a/', 'c'"
    assert refused.value.expected.endswith("for example 'a', 'b'")
    config = load_config(settings=[*settings, "near.sources=c"])
    with (
        run.session(tmp_path / "run", config, LocalMapper(2)) as session,
        pytest.raises(ConfigError, match="does not occur"),
    ):
        run.filter_rows(session)
    # a filter that was refused leaves the settings of the folder
    assert saved_config(tmp_path / "run")["near"]["sources"] == ["b", "a/", "c"]
    done = scan(corpus, tmp_path / "run", *settings, 'near.sources=["b", "a/2"]')
    assert done.performed[0] == "documents/all"


def test_a_removal_without_its_proof_stops_the_filter(tmp_path, make_corpus, scan, monkeypatch):
    """What the tables of proofs do not say is never passed on: here a score that is not theirs."""
    honest = documents.keepers

    def boasting(*tables):
        found = honest(*tables)
        place = found.schema.get_field_index("score")
        return found.set_column(place, "score", pa.array([None, 0.99], pa.float64()))

    monkeypatch.setattr(documents, "keepers", boasting)
    corpus = make_corpus(tmp_path / "c", {"x.jsonl": [" ".join([*BASE, "a"]), " ".join(BASE)]})
    with pytest.raises(IntegrityError, match="not proved against") as stopped:
        scan(corpus, tmp_path / "run")
    assert (stopped.value.where, stopped.value.found) == ("documents", "1 rows")


A = b"a" * 16


def counts_of(keys):
    """Return columns of `counts` for documents of nothing particular."""
    count = len(keys)
    return {
        "row_key": keys,
        "doc_id": [f"d{key}" for key in keys],
        "shard": ["x"] * count,
        "row": keys,
        "source": [None] * count,
        "split": ["test"] * count,
        "source_group": ["g"] * count,
        "priority": [None] * count,
        "priority_rest": [0.0] * count,
        "text_bytes": [1] * count,
        "words": [1] * count,
        "symbols": ["+"] * count,
        "text_hash": [A] * count,
        "representative": keys,
        "exact_count": [1] * count,
        "effective_count": [1.0] * count,
        "near_capped": [False] * count,
        "family": ["f"] * count,
        "max_window_count": [0] * count,
        "repeated_words": [0] * count,
    }


def test_documents_adds_the_keepers_name(stored):
    """All of counts comes through in order, over two files; the keeper's doc_id is looked up in
    both; null stays null.
    """
    paths = [*stored(COUNTS, **counts_of([1, 2])), *stored(COUNTS, **counts_of([3]))]
    added = pa.table(
        {
            "row_key": pa.array([1, 2, 3], pa.uint64()),
            "near_count": [10, 20, 30],
            "cluster": ["c1", "c2", "c3"],
            "keeper": pa.array([3, None, 2], pa.uint64()),
            "method": ["near", None, "contained"],
            "jaccard": [0.9, None, None],
            "score": [0.9, None, 0.8],
            "measure": ["jaccard", None, "containment"],
            "spared": [False] * 3,
        }
    )
    found = pa.Table.from_batches(_joined(paths, added))
    assert found.schema.names == DOCUMENTS.names
    assert found.select(COUNTS.names).to_pydict() == counts_of([1, 2, 3])
    names = [name for name in DOCUMENTS.names if name not in COUNTS.names]
    assert [tuple(row.values()) for row in found.select(names).to_pylist()] == [
        (10, "c1", 3, "d3", "near", 0.9, 0.9, "jaccard"),
        (20, "c2", *[None] * 6),
        (30, "c3", 2, "d2", "contained", None, 0.8, "containment"),
    ]


def test_rows_of_other_tables_are_refused(stored):
    """Counts and what is added to them must be of the same rows."""
    added = pa.table({"row_key": pa.array([7], pa.uint64()), "keeper": pa.array([1], pa.uint64())})
    with pytest.raises(IntegrityError, match="differ"):
        list(_joined(stored(COUNTS, **counts_of([1])), added))


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.decimal128(38, 3)])
def test_priorities_of_one_double_decide_exactly(tmp_path, make_corpus, scan, kind):
    """1700000000000000001 and ...003 are one double; the higher stays all the same."""
    numbers = [1_700_000_000_000_000_001, 1_700_000_000_000_000_003, 1_700_000_000_000_000_002]
    rows = pa.table(
        {
            "id": ["a", "b", "c"],
            "text": ["one text of some words"] * 3,
            "p": pa.array(numbers, kind),
        }
    )
    lines = [{"id": "d", "text": "one text of some words", "p": 1_700_000_000_000_000_004}]
    corpus = make_corpus(tmp_path / "c", {"a.parquet": rows})
    done = scan(corpus, tmp_path / "run", "input.priority=p")
    assert done.table("kept")["id"].to_pylist() == ["b"]
    make_corpus(corpus, {"b.jsonl": lines})
    assert scan(corpus, tmp_path / "run", "input.priority=p").rows("decisions", "action") == [
        *[("drop",)] * 3,
        ("keep",),
    ]


def test_short_texts_of_other_symbols_both_stay(tmp_path, make_corpus, scan):
    """Signs carry the meaning of short texts: sums, comparisons and emoji stay, but a full stop
    more is a copy; the rows spared are counted, and the setting turns it off.
    """
    stay = [
        *(f"What is 3 {sign} 2?" for sign in "+-*/%^"),
        *(f"Return true if x {sign} y holds here." for sign in ("<", ">=", "==", "!=")),
        *(f"we play at home today {face}" for face in "\U0001f600\U0001f622\U0001f621"),
    ]
    same = "one two three four five six seven"
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [*stay, same, f"{same}."]})
    done = scan(corpus, tmp_path / "run")
    assert done.table("removed")["text"].to_pylist() == [same]
    facts = done.manifest["outputs"]["documents/all"]["facts"]
    assert facts["spared_for_symbols"] == len(stay) - 3
    done = scan(corpus, tmp_path / "run", "near.symbol_words=0")
    assert len(done.table("kept")) == 4
    assert done.manifest["outputs"]["documents/all"]["facts"]["spared_for_symbols"] == 0


def test_longer_texts_are_copies_whatever_their_symbols(tmp_path, make_corpus, scan):
    """Both must be short: of 50 words and more a dollar sign more is nothing."""
    texts = [" ".join([*BASE[:50], *more]) for more in ((), ("$",))]
    short = [" ".join([*BASE[50:99], *more]) for more in ((), ("$",))]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts + short}), tmp_path / "run")
    assert done.table("removed")["text"].to_pylist() == texts[:1]


def test_no_split_stands_for_another(tmp_path, make_corpus, scan):
    """Copies within a split go; those across stay and are told as leakage, unless asked for: then
    the split that near.sources names first keeps them.
    """
    shared = [" ".join(BASE), " ".join(BASE[::-1])]
    corpus = make_corpus(
        tmp_path / "c",
        {
            "data/train-00000-of-00001.jsonl": [f"{shared[0]} x", shared[1], shared[1]],
            "data/test-00000-of-00001.jsonl": [shared[0], shared[1], "more that is new"],
        },
    )
    done = scan(corpus, tmp_path / "run", "near.threshold=0.95")
    groups = {row[0]: row[1] for row in done.rows("counts", "split", "source_group")}
    assert groups == {"test": "data/test", "train": "data/train"}
    assert done.table("removed")["text"].to_pylist() == [shared[1]]
    assert done.manifest["outputs"]["documents/all"]["facts"]["leakage"] == [
        {"split": "test", "other_split": "train", "documents": 3, "exact": 1, "near": 1},
        {"split": "train", "other_split": "test", "documents": 3, "exact": 2, "near": 1},
    ]
    asked = ("near.threshold=0.95", "near.across_splits=true", 'near.sources=["test", "train"]')
    done = scan(corpus, tmp_path / "run", *asked)
    assert len(done.table("removed")) == 3
    kept = done.rows("kept", "text")
    assert [row[0] for row in kept][:2] == shared
