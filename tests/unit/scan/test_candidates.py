import random
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.scan.near import band_kernels, candidates
from pipeline.scan.near.band_kernels import Bands
from pipeline.text.minhash import s_curve
from schemas.scan.buckets import BUCKETS
from schemas.scan.signatures import SIGNATURES
from tests import truth

SAME_WORDS = [f"One two three four five six{'!' * n}" for n in range(130)]
ONE_BAND = ("sketch.bands=1", "sketch.rows=1")
DUCKDB = 256 << 20  # bytes that a query is sure to do with


def met(done, cap, reach):
    """Return the pairs of all buckets by definition: all up to the cap, above it each member with
    its `reach` neighbours in rank and with the longest and the earliest member.
    """
    members: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for band, bucket, rank, key, _ in done.rows("buckets", *BUCKETS.names):
        members.setdefault((band, bucket), []).append((rank, key))
    length = dict(done.rows("signatures", "row_key", "text_bytes"))
    found = set()
    for ranked in members.values():
        keys = [key for _, key in sorted(ranked)]
        hubs = {min(keys), min(keys, key=lambda key: (-length[key], key))}
        for (i, a), (j, b) in combinations(enumerate(keys), 2):
            if len(keys) <= cap or j - i <= reach or hubs & {a, b}:
                found.add((min(a, b), max(a, b)))
    return sorted(found)


def facts_of(done):
    """Return what the manifest tells of the candidates."""
    return done.manifest["outputs"]["candidates/all"]["facts"]


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


def test_a_bucket_above_the_cap_pairs_each_with_64_neighbours_and_two_hubs(
    tmp_path, make_corpus, scan
):
    """130 texts of the same words: each meets the next 64 in rank, the longest and the earliest;
    all are marked capped.
    """
    texts = [*SAME_WORDS, SAME_WORDS[0], "something else altogether is said here"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", *ONE_BAND, filtered=False)
    found = done.rows("candidates", "a", "b")
    assert found == met(done, 128, 64)
    assert 130 * 64 - 64 * 65 // 2 < len(found) < 130 * 64 - 64 * 65 // 2 + 2 * 65
    assert {(0, n) for n in range(1, 130)} <= {*found}
    assert {(n, 129) for n in range(129)} <= {*found}
    facts = facts_of(done)
    assert (facts["capped_buckets"], facts["capped_documents"], facts["largest_bucket"]) == (
        1,
        130,
        130,
    )
    assert done.table("counts")["near_capped"].to_pylist() == [True] * 131 + [False]


def test_neighbours_differ_from_band_to_band(tmp_path, make_corpus, scan):
    """With one neighbour a band, four bands find more pairs than one: the order in a bucket is the
    band's own.
    """
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": SAME_WORDS[:30]})
    small = ("near.bucket_cap=5", "near.neighbours=1", "sketch.rows=1")
    one = scan(corpus, tmp_path / "1", "sketch.bands=1", *small, filtered=False)
    four = scan(corpus, tmp_path / "4", "sketch.bands=4", *small, filtered=False)
    first, more = (run.rows("candidates", "a", "b") for run in (one, four))
    assert first == met(one, 5, 1)
    assert more == met(four, 5, 1)
    hubs = {pair for pair in more if 0 in pair or 29 in pair}
    assert len(hubs) == 28 + 29
    assert len({*first} - hubs) >= 25
    assert len({*more} - hubs) > 2.5 * len({*first} - hubs)


@pytest.mark.parametrize("keep", ["longest", "earliest"])
@pytest.mark.parametrize("words", ["yes", "Thank you", "a b c d", "a b c d e", "a b c d e f g h"])
def test_texts_of_the_same_words_all_go_to_one(tmp_path, make_corpus, scan, keep, words):
    """More than the cap of them, shorter than a shingle or longer, and one stays: the one asked."""
    texts = [words + "!" * (1 + (7 * n) % 300) for n in range(300)]
    other = ["no", "something else altogether", "another thing that is said here only"]
    shards = {"a.jsonl": [*texts[:100], *other], "b.jsonl": texts[100:]}
    done = scan(make_corpus(tmp_path / "c", shards), tmp_path / "run", f"near.keep={keep}")
    assert facts_of(done)["largest_bucket"] == 300
    kept = [text for text, _ in sorted(done.rows("kept", "text", "rote"), key=lambda r: r[0])]
    assert kept == sorted([*other, max(texts, key=len) if keep == "longest" else texts[0]])
    keepers = {row["keeper_doc_id"] for row in done.table("removed")["rote"].to_pylist()}
    assert len(keepers) == 1


def test_a_capped_bucket_leaves_the_one_of_highest_priority(tmp_path, make_corpus, scan):
    """The priority column decides among 300 copies as it does among two."""
    texts = ["a b c d e f g" + "!" * (1 + (7 * n) % 300) for n in range(300)]
    rows = [{"text": text, "p": float(n == 123)} for n, text in enumerate(texts)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    done = scan(corpus, tmp_path / "run", "input.priority=p")
    assert [text for text, _ in done.rows("kept", "text", "rote")] == [texts[123]]


def test_short_documents_meet_in_a_band_of_their_own(tmp_path, make_corpus, scan):
    """Fewer words than a shingle meet the same words only, in the band after the last."""
    texts = ["a b", "A, b.", "a b c", "b a", "ab", "a b c d e", "A b c d e"]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", filtered=False)
    assert done.rows("candidates", "a", "b") == [(0, 1), (5, 6)]
    bands = done.rows("buckets", "band", "row_key")
    assert {row for row in bands if row[1] < 5} == {(42, 0), (42, 1)}
    assert {row for row in bands if row[1] >= 5} == {(n, key) for n in range(42) for key in (5, 6)}
    sizes = [len(value) for value in done.table("signatures")["signature"].to_pylist()]
    assert sizes == [8, 8, 8, 8, 8, 504, 504]


def test_a_signature_of_two_values_is_not_taken_for_a_short_document(tmp_path, make_corpus, scan):
    """With two values a signature has the eight bytes of a short document's hash."""
    texts = ["a b", "A b", "a b c d e f", "a b c d e F", "a b c d e f g", "x y z u v w"]
    settings = ("sketch.bands=2", "sketch.rows=1")
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", *settings, filtered=False)
    assert {(0, 1), (2, 3)} <= {*done.rows("candidates", "a", "b")}
    assert all({a, b} <= {0, 1} or min(a, b) > 1 for a, b in done.rows("candidates", "a", "b"))


def near_texts(count, seed=3):
    """Return texts of a few families, edited more or less, of which some have many members."""
    draw = random.Random(seed)  # noqa: S311
    families = [[f"f{n}w{k}" for k in range(40)] for n in range(6)]
    texts = []
    for _ in range(count):
        own = list(families[min(5, int(draw.expovariate(1.2)))])
        for _ in range(draw.randint(0, 4)):
            own[draw.randrange(40)] = f"x{draw.randrange(10**6)}"
        texts.append(" ".join(own))
    return texts


@pytest.fixture(scope="module")
def capped(tmp_path_factory, make_corpus, scan):
    """Scan texts that fill many buckets above their cap; return the run and the texts."""
    folder, texts = tmp_path_factory.mktemp("capped"), near_texts(240)
    corpus = make_corpus(folder / "c", {"a.jsonl": texts[:100], "b.jsonl": texts[100:]})
    settings = ("near.bucket_cap=12", "near.neighbours=2", "sketch.bands=12", "sketch.rows=3")
    done = scan(corpus, folder / "run", *settings, filtered=False)
    assert facts_of(done)["capped_buckets"] > 10
    return done, texts


def test_candidates_are_those_of_the_buckets(capped):
    """Every pair that a bucket gives by definition is there, and no other."""
    done, _ = capped
    assert done.rows("candidates", "a", "b") == met(done, 12, 2)


def in_passes(done, folder, monkeypatch, bands):
    """Make the candidates anew with memory for so many bands at a time."""
    count = len(set(done.table("copies")["representative"].to_pylist()))
    monkeypatch.setattr(candidates, "BAND_BYTES", 2 * DUCKDB // 4 // (bands * count))
    passes = []
    honest = candidates._BandPass._band_keys

    def noted(job, documents, numbers):
        passes.append(len(numbers))
        return honest(job, documents, numbers)

    monkeypatch.setattr(candidates._BandPass, "_band_keys", noted)
    again = done.redone("candidates", folder, memory=2 * DUCKDB, cores=2)
    assert passes == [bands] * (12 // bands) + ([12 % bands] if 12 % bands else [])
    return again


@pytest.mark.parametrize("bands", [1, 5, 12])
def test_passes_over_the_bands_change_no_byte(capped, tmp_path, monkeypatch, bands):
    """With memory for one band or a few at a time, every table is that of all bands at once."""
    done, _ = capped
    again = in_passes(done, tmp_path / "run", monkeypatch, bands)
    assert again.files("candidates") == done.files("candidates")
    assert again.files("candidates").keys() == {"buckets", "candidates", "audit"}


@pytest.mark.parametrize("bands", [1, 5, 12])
def test_passes_over_the_bands_change_no_fact(capped, tmp_path, monkeypatch, bands):
    """What is told of caps does not depend on memory either."""
    done, _ = capped
    assert facts_of(in_passes(done, tmp_path / "run", monkeypatch, bands)) == facts_of(done)


def test_the_estimate_of_what_caps_miss_is_about_right(capped):
    """Pairs at 0.5 or above that share a bucket and are no candidates: counted, and estimated."""
    done, texts = capped
    keys = done.table("counts")["row_key"].to_pylist()
    true = {
        (keys[a], keys[b]): shared / either
        for (a, b), (shared, either) in truth.pairs(texts).items()
    }
    bucket: dict[int, set[tuple[int, int]]] = {}
    for band, value, key in done.rows("buckets", "band", "bucket", "row_key"):
        bucket.setdefault(key, set()).add((band, value))
    found = {*done.rows("candidates", "a", "b")}
    missed = {
        at: sum(
            share >= at and bool(bucket.get(a, set()) & bucket.get(b, set()))
            for (a, b), share in true.items()
            if (a, b) not in found
        )
        for at in (0.5, 0.8)
    }
    assert missed[0.5] > 500
    told = facts_of(done)["estimated_missed"]
    assert missed[0.5] / 2 < told["0.5"] < 2 * missed[0.5]
    assert missed[0.8] / 3 - 20 < told["0.8"] < 3 * missed[0.8] + 20


def test_without_caps_nothing_is_missed(tmp_path, make_corpus, scan):
    """Buckets up to the cap leave no pair out."""
    done = scan(
        make_corpus(tmp_path / "c", {"a.jsonl": near_texts(60)}), tmp_path / "run", filtered=False
    )
    assert facts_of(done)["pairs_left_out"] == 0
    assert facts_of(done)["estimated_missed"] == {"0.5": 0, "0.8": 0}


@pytest.mark.parametrize("neighbours", [1, 10, 28, 29, 30, 200])
def test_the_pairs_that_a_cap_leaves_out_are_counted(tmp_path, make_corpus, scan, neighbours):
    """Of a bucket's pairs, those that are no candidates; none when all are neighbours."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": SAME_WORDS[:30]})
    settings = ("near.bucket_cap=5", f"near.neighbours={neighbours}", *ONE_BAND)
    done = scan(corpus, tmp_path / "run", *settings, filtered=False)
    found = done.table("candidates").num_rows
    assert facts_of(done)["pairs_left_out"] == 30 * 29 // 2 - found


def bands_of(draw, documents, bands, kinds, limits):
    """Return random bands of so many documents whose keys are of few kinds."""
    keys = draw.integers(0, kinds, (bands, documents)).astype(np.uint64) << np.uint64(58)
    low = draw.integers(0, 2**64, documents, dtype=np.uint64)
    low[: documents // 4] = low[0]
    lengths = draw.integers(1, 6, documents)
    priority = draw.choice([-np.inf, 0.5, 2.0], documents)
    return Bands(np.arange(bands), keys, low, lengths, priority, np.array(limits, np.int64))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limits", [(0, 1), (3, 1), (6, 2), (10, 50), (100, 1)])
def test_what_meets_is_what_the_definition_says(seed, limits):
    """Over random bands, the pairs of all buckets are those of the words above, capped or not."""
    bands = bands_of(np.random.default_rng(seed), 60, 3, 4 if seed % 2 else 12, limits)
    flags = np.zeros(bands.keys.shape, np.uint8)
    found: set[tuple[int, int]] = set()
    expected: set[tuple[int, int]] = set()
    for b in range(3):
        members, ends = band_kernels.buckets(bands, b)
        band_kernels.mark_capped(members, ends, limits[0], flags[b])
        codes = band_kernels.met(bands, flags, b, members, ends)
        pairs = [(code >> 32, code & 0xFFFFFFFF) for code in codes.tolist()]
        assert all(x < y for x, y in pairs)
        found.update(pairs)
        by_key: dict[int, list[int]] = {}
        for document, key in enumerate(bands.keys[b].tolist()):
            by_key.setdefault(key, []).append(document)
        odd = (b * 0x9E3779B97F4A7C15) % 2**64 | 1
        for _, own in sorted(by_key.items()):
            own.sort(key=lambda d: (int(bands.low[d]) * odd % 2**64, d))
            hubs = {
                min(own),
                min(own, key=lambda d: (-bands.text_bytes[d], d)),
                min(own, key=lambda d: (-bands.priority[d], -bands.text_bytes[d], d)),
            }
            expected.update(
                (min(x, y), max(x, y))
                for (i, x), (j, y) in combinations(enumerate(own), 2)
                if len(own) <= limits[0] or j - i <= limits[1] or hubs & {x, y}
            )
            if len(own) > 1:
                at = members.tolist().index(own[0])
                assert members[at : at + len(own)].tolist() == own
    assert found == expected


def test_a_bucket_needs_two(tmp_path, make_corpus, scan):
    """Keys of one document are in no bucket, and a corpus of one has none."""
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": ["a b c d e f"]}), tmp_path / "run")
    assert done.table("buckets").num_rows == 0
    assert facts_of(done)["largest_bucket"] == 0
    assert done.table("signatures").schema.names == SIGNATURES.names
    assert isinstance(done.table("audit"), pa.Table)


def test_the_printed_curve_is_the_formula(tmp_path, make_corpus, scan):
    """The manifest tells the probability of proposing a pair: 1 - (1 - s^3)^42."""
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": ["a"]}), tmp_path / "run", filtered=False)
    facts = done.manifest["outputs"]["candidates/all"]["facts"]
    assert facts["s_curve"]["0.5"] == round(1 - 0.875**42, 6) == 0.996333
    assert facts["s_curve"]["0.3"] == round(s_curve(0.3, 42, 3), 6)
    assert list(facts["s_curve"]) == ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
