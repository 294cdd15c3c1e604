import json
import random
from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.filter.documents import ranks
from pipeline.scan.near import band_kernels, candidates
from pipeline.scan.near.band_kernels import Bands
from pipeline.scan.near.crowd_kernels import PER_ORDER
from pipeline.text import minhash
from pipeline.text.minhash import s_curve
from schemas.scan.signatures import SIGNATURES
from tests import truth
from tests.conftest import Done

SAME_WORDS = [f"One two three four five six{'!' * n}" for n in range(130)]
BODY = [f"b{n}" for n in range(60)]
MOST_PAIRS = (
    12 + 2 * PER_ORDER
)  # a crowded document lists: the nearest, and for two orders the best
SOURCED = ("input.source=source", "input.text=text")
ONE_BAND = ("sketch.bands=1", "sketch.rows=1")
DUCKDB = 256 << 20  # bytes that a query is sure to do with


def buckets_of(done):
    """Return the buckets of each document with a signature, as (band, key), from its signature."""
    sketch = done.manifest["config"]["sketch"]
    alone = {key for key, first in done.rows("copies", "row_key", "representative") if key == first}
    rows = [row for row in done.rows("signatures", "row_key", "signature") if row[0] in alone]
    values = np.array([np.frombuffer(value, np.uint32) for _, value in rows])
    keys = minhash.band_keys(values, sketch["bands"], sketch["rows"])
    return {key: {*enumerate(own.tolist())} for (key, _), own in zip(rows, keys, strict=True)}


def sharing(buckets):
    """Return the pairs that share a bucket, and the documents of buckets by bucket."""
    members: dict[tuple[int, int], list[int]] = {}
    for key, own in buckets.items():
        for bucket in own:
            members.setdefault(bucket, []).append(key)
    return {pair for own in members.values() for pair in combinations(sorted(own), 2)}, members


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


def test_a_bucket_above_the_cap_pairs_each_with_a_few_and_the_best(tmp_path, make_corpus, scan):
    """130 texts of the same words: each meets the longest and the earliest, and a dozen others at
    most for its own sake; all are marked capped.
    """
    texts = [*SAME_WORDS, SAME_WORDS[0], "something else altogether is said here"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", *ONE_BAND, filtered=False)
    found = done.rows("candidates", "a", "b")
    assert {(0, n) for n in range(1, 130)} <= {*found}
    assert {(n, 129) for n in range(129)} <= {*found}
    assert len(found) <= 130 * MOST_PAIRS < 130 * 129 // 2
    facts = facts_of(done)
    assert (facts["capped_buckets"], facts["capped_documents"], facts["largest_bucket"]) == (
        1,
        130,
        130,
    )
    assert done.table("counts")["near_capped"].to_pylist() == [True] * 131 + [False]
    assert done.rows("buckets", "row_key", "members") != []
    assert {members for _, members in done.rows("buckets", "row_key", "members")} == {130}


@pytest.mark.parametrize("count", [300, 600, 1200])
def test_pairs_and_rows_of_a_template_grow_with_its_documents(tmp_path, make_corpus, scan, count):
    """Of one template, over several shards: so many pairs a document at most, one row of buckets
    each, however many there are.
    """
    texts = [f"{' '.join(BODY[:30])} number {n} {' '.join(BODY[30:])}" for n in range(count)]
    files = {f"{k}.jsonl": texts[k::3] for k in range(3)}
    done = scan(make_corpus(tmp_path / "c", files), tmp_path / "run", filtered=False)
    assert facts_of(done)["capped_documents"] == count
    assert count < done.table("candidates").num_rows <= count * MOST_PAIRS
    assert done.table("buckets").num_rows == count


@pytest.mark.parametrize("keep", ["longest", "earliest"])
@pytest.mark.parametrize("sources", [(), ("a",), ("b",), ("c",), ("b", "a"), ("c", "b", "a")])
def test_of_many_mutual_near_copies_one_stays(near_copies, keep, sources):
    """Whatever source is preferred, value or folder, and after the scan: of 2,500 one stays, and it
    is the best of them all by the rank of keepers.
    """
    run_folder, rows = near_copies
    given = [*SOURCED, f"near.keep={keep}", f"near.sources={json.dumps(sources)}"]
    config = load_config(settings=given)
    with run.session(run_folder, config, LocalMapper(2)) as session:
        run.filter_rows(session)
    done = Done(run_folder, [])
    counts = done.table("counts")
    best = counts["row_key"].to_pylist()[int(np.argmin(ranks(counts, config.near)))]
    assert [key for key, keeper in done.rows("documents", "row_key", "keeper") if keeper is None
            ] == [best]  # fmt: skip
    assert len(rows) == 2500


def test_of_near_copies_in_several_folders_one_stays(tmp_path, make_corpus, scan):
    """A folder is a source too: of 300 mutual near copies the one of the preferred folder stays."""
    texts = [f"{' '.join(BODY)} own{n} {'!' * (n * 37 % 90)}" for n in range(300)]
    files = {f"{'abc'[n]}/x.jsonl": texts[n::3] for n in range(3)}
    corpus = make_corpus(tmp_path / "c", files)
    done = scan(corpus, tmp_path / "run", "near.sources=b", "near.keep=earliest")
    assert [text for text, _ in done.rows("kept", "text", "rote")] == [texts[1]]


@pytest.fixture(scope="module")
def near_copies(tmp_path_factory, make_corpus, scan):
    """Scan 2,500 mutual near copies of three sources in two folders; give the run and the rows."""
    folder, draw = tmp_path_factory.mktemp("mutual"), random.Random(1)  # noqa: S311
    rows = [
        {
            "text": f"{' '.join(BODY)} own{n} {'!' * draw.randrange(90)}",
            "source": "abc"[draw.randrange(3)],
            "from": n,
        }
        for n in range(2500)
    ]
    files = {"two/x.jsonl": rows[:900], "one/y.jsonl": rows[900:1700], "one/a.jsonl": rows[1700:]}
    corpus = make_corpus(folder / "c", files)
    scan(corpus, folder / "run", *SOURCED, filtered=False)
    return folder / "run", rows


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
    """All pairs that share a bucket are there save those of two crowded documents, and no other;
    each of these has some.
    """
    done, _ = capped
    shared, members = sharing(buckets_of(done))
    crowded = {key for own in members.values() if len(own) > 12 for key in own}
    found = {*done.rows("candidates", "a", "b")}
    assert found <= shared
    assert {pair for pair in shared if not crowded.issuperset(pair)} <= found
    lists = Counter(key for pair in found if crowded.issuperset(pair) for key in pair)
    assert lists.keys() == crowded
    assert sum(lists.values()) / 2 <= len(crowded) * (2 + 2 * PER_ORDER)
    assert len(crowded) == facts_of(done)["capped_documents"] < len(done.table("copies"))


def test_what_is_listed_is_nearer_than_what_is_not(capped):
    """Of crowded documents that share a bucket, those that are listed are the more alike."""
    done, texts = capped
    keys = done.table("counts")["row_key"].to_pylist()
    alike = {
        (keys[a], keys[b]): shared / either
        for (a, b), (shared, either) in truth.pairs(texts).items()
    }
    shared, _ = sharing(buckets_of(done))
    found = {*done.rows("candidates", "a", "b")}
    listed, not_listed = (
        [alike.get(pair, 0.0) for pair in pairs] for pairs in (found, shared - found)
    )
    assert np.mean(listed) > 1.2 * np.mean(not_listed)
    best: dict[int, float] = {}
    for pair in shared:
        for key in pair:
            best[key] = max(best.get(key, 0), alike.get(pair, 0))
    told: dict[int, float] = {}
    for pair in found:
        for key in pair:
            told[key] = max(told.get(key, 0), alike.get(pair, 0))
    near = [key for key in best if best[key] >= 0.8]
    assert sum(told.get(key, 0) >= 0.8 for key in near) > 0.9 * len(near)


def in_passes(done, folder, monkeypatch, bands):
    """Make the candidates anew with memory for so many bands at a time."""
    count = len(set(done.table("copies")["representative"].to_pylist()))
    monkeypatch.setattr(candidates, "BAND_BYTES", 2 * DUCKDB // 4 // (bands * count))
    passes = []
    read = []
    honest, honest_read = candidates._Search._pass, candidates._keys_of

    def noted(job, documents, aside, numbers):
        passes.append(len(numbers))
        return honest(job, documents, aside, numbers)

    def noted_read(work, documents):
        read.append(len(documents))
        return honest_read(work, documents)

    monkeypatch.setattr(candidates._Search, "_pass", noted)
    monkeypatch.setattr(candidates, "_keys_of", noted_read)
    again = done.redone("candidates", folder, memory=2 * DUCKDB, cores=2)
    once = [bands] * (12 // bands) + ([12 % bands] if 12 % bands else [])
    assert passes == (once if len(once) == 1 else once + once)
    assert len(read) == 1  # signatures, whatever the memory
    return again


@pytest.mark.parametrize("kept", [True, False])
def test_loops_of_large_buckets_are_told_of_before_they_are_compiled(
    capped, tmp_path, monkeypatch, kept
):
    """A corpus that needs them first waits ten seconds for it, and is told why; once."""
    said: list[str] = []
    noting = SimpleNamespace(message=said.append, advance=lambda *_: None)
    monkeypatch.setattr(candidates, "are_compiled", lambda first: kept and first is not None)
    monkeypatch.setattr(candidates, "current", lambda: noting)
    capped[0].redone("candidates", tmp_path / "run")
    assert len(said) == (not kept)
    assert all("compiling loops" in line for line in said)


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
    bucket = buckets_of(done)
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
    assert (found == 30 * 29 // 2) == (neighbours >= 29)


def bands_of(draw, documents, bands, kinds):
    """Return random bands of so many documents whose keys are of few kinds."""
    keys = draw.integers(0, kinds, (bands, documents)).astype(np.uint64) << np.uint64(58)
    low = draw.integers(0, 2**64, documents, dtype=np.uint64)
    low[: documents // 4] = low[0]
    return Bands(np.arange(bands), keys, low)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_what_meets_is_what_the_definition_says(seed, share):
    """Over random bands, the pairs of all buckets save those of two crowded documents, however the
    buckets are parted.
    """
    draw = np.random.default_rng(seed)
    bands = bands_of(draw, 60, 3, 4 if seed % 2 else 12)
    crowded = draw.random(60) < share
    found: set[tuple[int, int]] = set()
    expected: set[tuple[int, int]] = set()
    largest, of_band = np.zeros((2, 60), np.int64)
    for b in range(3):
        members, ends = band_kernels.buckets(bands, b)
        band_kernels.note_largest(members, ends, b, largest, of_band)
        counts = band_kernels.pairs_of(members, ends, crowded)
        for part in np.array_split(np.arange(len(counts)), seed + 1):
            if len(part):
                bounds, room = ends[part[0] : part[-1] + 2], int(counts[part].sum())
                codes = band_kernels.met(bands, crowded, b, members, bounds, room)
                pairs = [(code >> 32, code & 0xFFFFFFFF) for code in codes.tolist()]
                assert all(x < y for x, y in pairs)
                found.update(pairs)
        by_key: dict[int, list[int]] = {}
        for document, key in enumerate(bands.keys[b].tolist()):
            by_key.setdefault(key, []).append(document)
        odd = (b * 0x9E3779B97F4A7C15) % 2**64 | 1
        for _, own in sorted(by_key.items()):
            own.sort(key=lambda d: (int(bands.low[d]) * odd % 2**64, d))
            pairs = [(min(x, y), max(x, y)) for x, y in combinations(own, 2)]
            assert all(largest[d] >= len(own) for d in own if len(own) > 1)
            expected.update(p for p in pairs if not crowded[[*p]].all())
            if len(own) > 1:
                at = members.tolist().index(own[0])
                assert members[at : at + len(own)].tolist() == own
    assert found == expected
    sizes = [np.bincount(bands.keys[b] >> np.uint64(58))[bands.keys[b] >> np.uint64(58)]
             for b in range(3)]  # fmt: skip
    assert (
        largest.tolist() == np.where(np.max(sizes, axis=0) > 1, np.max(sizes, axis=0), 0).tolist()
    )
    assert of_band[largest > 0].tolist() == np.argmax(sizes, axis=0)[largest > 0].tolist()


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
