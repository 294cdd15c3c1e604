import random
from fractions import Fraction
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config.load import load_config
from pipeline.corpus import find_shards
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_batches, read_table, write_table
from pipeline.errors import IntegrityError
from pipeline.scan import inventory, pair_kernels, shingle_sets, signatures, words
from pipeline.scan.near import pairs
from pipeline.text import segmentation as text
from pipeline.text import segmentation_kernels as kernels
from schemas.scan.candidates import CANDIDATES
from schemas.scan.pairs import PAIRS
from tests import reference, truth
from tests.conftest import Done

ALPHABET = ["a", "é", "É"]


class Verify:
    """Verifies every pair of some texts; counts its runs, so that each has a folder of its own."""

    def __init__(self, folder, make_corpus):
        self.folder, self.make_corpus, self.count = folder, make_corpus, 0

    def __call__(self, texts, *settings, files=1, cores=2, memory=0):
        """Return the rows of `pairs` and the receipt; the file lies in `last` then."""
        self.count += 1
        folder = self.folder / str(self.count)
        shards = {f"{n}.jsonl": texts[n::files] for n in range(files)}
        found = tuple(find_shards([str(self.make_corpus(folder / "c", shards))])[0])
        config = load_config(settings=settings)
        names = {shard.number: shard.name for shard in found}
        sketched = signatures.sketch(Work("sketch", "g00000", folder, config, found, {}, names))
        keys = sorted(
            n << 40 | row for n in range(files) for row in range(len(shards[f"{n}.jsonl"]))
        )
        a, b = zip(*combinations(keys, 2), strict=True)
        with write_table(folder, "candidates", "all", CANDIDATES) as out:
            out.write(pa.table({"a": a, "b": b}, schema=CANDIDATES))
        tables: dict[str, tuple[str, ...]] = {
            record.table: (record.path,) for record in (*sketched.files, out.record)
        }
        work = Work("pairs", "all", folder, config, found, tables, cores=cores, memory=memory)
        receipt = pairs.pairs(work)
        self.last = folder / "pairs/all.parquet"
        rows = read_table([self.last], PAIRS)
        columns = (rows[name].to_pylist() for name in PAIRS.names)
        return list(zip(*columns, strict=True)), receipt


@pytest.fixture
def verify(tmp_path, make_corpus):
    """Give a function that verifies every pair of texts and returns the rows of `pairs` and its
    receipt.
    """
    return Verify(tmp_path, make_corpus)


def random_texts(count, seed):
    """Return texts of 0 to 14 words out of few, so that shingles repeat and are shared."""
    draw = random.Random(seed)  # noqa: S311
    texts = []
    for _ in range(count):
        words = draw.choices(ALPHABET, k=draw.choice([0, 1, 2, 3, 4, 5, 6, 9, 14]))
        texts.append(draw.choice([" ", ", ", "\r\n"]).join(words) + draw.choice(["", "."]))
    base = " ".join(draw.choices(ALPHABET, k=60))
    texts += [base, base + " new", "old " + base, base.upper(), base[: len(base) // 2]]
    return [entry if entry.strip() else "." for entry in texts]


@pytest.mark.parametrize("seed", range(4))
def test_jaccard_is_that_of_brute_force(verify, seed):
    """On random texts, short and wordless among them, every listed number is the definition's."""
    texts = random_texts(40, seed)
    rows, receipt = verify(texts, "near.count_threshold=0.05", "near.threshold=0.05")
    expected = []
    for a, b in combinations(range(len(texts)), 2):
        shared, either = reference.jaccard(texts[a], texts[b])
        if either and Fraction(shared, either) >= Fraction(1, 20):
            size_a, size_b = (len(set(reference.shingles(texts[n]))) for n in (a, b))
            expected.append((a, b, shared, either, size_a, size_b, shared / either))
    assert rows == expected
    assert len(expected) > 80
    assert receipt.facts == {"candidates": 45 * 44 // 2, "pairs": len(expected)}


def test_texts_without_words_are_never_near(verify):
    """Two empty shingle sets have no Jaccard; they are not listed even if they were candidates."""
    rows, _ = verify(["...", "!!", "a b"])
    assert rows == []


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("One two, three four five six", "one TWO three\r\nfour-five six!", (2, 2)),
        ("One", "one.", (1, 1)),
        ("a b c d", "A, b; c d", (1, 1)),
        ("a b c d", "a b c e", None),
        ("a b c d", "a b c d e", None),
        ("a b", "ab", None),
        ("ß", "SS", None),
        ("É a b c d", "é a b c d", (1, 1)),
        ("漢字", "漢 字", (1, 1)),
    ],
)
def test_words_alone_decide(verify, left, right, expected):
    """Case and punctuation do not count; below five words all of them must agree."""
    rows, _ = verify([left, right])
    assert [(row[2], row[3], row[6]) for row in rows] == ([(*expected, 1.0)] if expected else [])


def test_repeated_shingles_count_once(verify):
    """Jaccard is of sets: saying a thing twice does not change it but for the seam."""
    rows, _ = verify(["a b c d e " * 3, "a b c d e " * 2])
    assert [row[2:6] for row in rows] == [(5, 5, 5, 5)]


def planted(shared, own_left, own_right):
    """Return two texts with that many shared and own shingles."""
    head = [f"s{n}" for n in range(shared + 4)]
    texts = [
        " ".join(head + [f"{side}{n}" for n in range(count)])
        for side, count in (("l", own_left), ("r", own_right))
    ]
    assert reference.jaccard(*texts) == (shared, shared + own_left + own_right)
    return texts


@pytest.mark.parametrize(
    ("threshold", "shape", "listed"),
    [
        ("0.5", (5, 2, 3), True),
        ("0.5", (499, 250, 250), False),
        ("0.5", (500, 250, 250), True),
        ("0.8", (4, 1, 0), True),
        ("0.8", (800, 150, 50), True),
        ("0.8", (799, 150, 50), False),
        ("0.8", (800, 150, 51), False),
        ("0.7", (7, 2, 1), True),
        ("0.1", (1, 4, 5), True),
        ("1.0", (10, 0, 0), True),
        ("1.0", (10, 1, 0), False),
        ("0.6666666666666667", (2000, 500, 500), True),
        ("0.6666666666666667", (1999, 500, 501), False),
        ("0.8333333333333334", (4500, 450, 450), True),
        ("0.8333333333333334", (4499, 450, 451), False),
    ],
)
def test_thresholds_are_exact_integers(verify, threshold, shape, listed):
    """A pair exactly at a threshold is listed, one a shingle below is not, at any size and any
    decimals.
    """
    settings = (f"near.count_threshold={threshold}", "near.threshold=1.0")
    rows, _ = verify(planted(*shape), *settings)
    assert bool(rows) == listed
    if listed:
        assert rows[0][2:4] == (shape[0], sum(shape))


@pytest.mark.parametrize(
    "threshold", [0.1, 0.3, 0.5, 0.7, 0.8, 0.85, 1.0, 1e-6, 2 / 3, 0.123456789]
)
def test_thresholds_as_integers_stay_small(threshold):
    """Numerator and denominator times a uint32 fit an int64, and their ratio is the threshold."""
    top, bottom = shingle_sets.at_least(threshold)
    assert 0 < top <= bottom <= 10**9
    assert abs(top / bottom - threshold) < 1e-9
    assert shingle_sets.at_least(0.8) == (4, 5)


def test_shards_and_cores_do_not_change_the_numbers(verify):
    """The same texts over three shards, on one thread or three, give the same Jaccards."""
    texts = random_texts(25, 9)
    loose = ("near.count_threshold=0.05", "near.threshold=0.05")
    one, _ = verify(texts, *loose, cores=1)
    three, _ = verify(texts, *loose, files=3, cores=3)
    place = {n << 40 | row: n + 3 * row for n in range(3) for row in range(10)}
    renamed = sorted(
        (*sorted((place[a], place[b])), shared, either) for a, b, shared, either, *_ in three
    )
    assert renamed == [row[:4] for row in one]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("memory", [400, 1000, 5000])
def test_blocks_change_no_byte(verify, monkeypatch, seed, memory):
    """With memory for few documents at a time, spilled and compared block by block, the file is
    that of memory for all.
    """
    texts, loose = random_texts(40, seed), ("near.count_threshold=0.05", "near.threshold=0.05")
    usual, _ = verify(texts, *loose, files=2)
    whole = verify.last.read_bytes()
    monkeypatch.setattr(shingle_sets, "SMALLEST_BLOCK", 1)
    met = []
    honest = shingle_sets._by_blocks

    def noted(blocks):
        for first, second, rows in honest(blocks):
            met.append((first, second))
            yield first, second, rows

    monkeypatch.setattr(shingle_sets, "_by_blocks", noted)
    assert verify(texts, *loose, files=2, memory=memory)[0] == usual
    assert verify.last.read_bytes() == whole
    assert len(met) > 3
    assert any(first < second for first, second in met)


@pytest.mark.parametrize("most", [1, 7, 100])
def test_slabs_change_no_row(verify, monkeypatch, most):
    """Candidates taken a few at a time give the rows that all at once give."""
    texts, loose = random_texts(20, 5), ("near.count_threshold=0.05", "near.threshold=0.05")
    usual, told = verify(texts, *loose)
    monkeypatch.setattr(shingle_sets, "PAIRS_AT_ONCE", most)
    monkeypatch.setattr(
        pairs, "read_batches", lambda path, names: read_batches(path, names, rows=5)
    )
    monkeypatch.setattr(pairs, "ROWS_AT_ONCE", 3)
    whole = verify.last.read_bytes()
    rows, receipt = verify(texts, *loose)
    assert rows == usual
    assert receipt.facts == told.facts
    assert verify.last.read_bytes() == whole


@pytest.mark.parametrize("most", [1, 7, 10**6])
def test_what_was_compared_before_is_not_compared_again(
    tmp_path, make_corpus, scan, monkeypatch, most
):
    """After shards came, went and changed only pairs with a new text are compared, and those of old
    texts that were no candidates; the files are those of a run made anew.
    """
    monkeypatch.setattr(inventory, "GROUP_BYTES", 1)
    monkeypatch.setattr(shingle_sets, "PAIRS_AT_ONCE", most)
    monkeypatch.setattr(shingle_sets, "SMALLEST_SLAB", 1)
    files = {f"{n}.jsonl": [t for t in random_texts(20, n) if "." in t] for n in range(4)}
    files["0.jsonl"] += ["one two three four five six", "the same text twice over there"]
    files["1.jsonl"] += ["the same text twice over there", "seven one two three four five six"]
    settings = ("near.count_threshold=0.7", "near.bucket_cap=1000")
    corpus = make_corpus(tmp_path / "c", files)
    scan(corpus, tmp_path / "run", *settings, filtered=False)
    before = set(_compared(scan, corpus, tmp_path / "first", settings, monkeypatch))
    (corpus / "0.jsonl").unlink()
    make_corpus(corpus, {"2.jsonl": random_texts(10, 7), "4.jsonl": random_texts(20, 8)})
    again = _compared(scan, corpus, tmp_path / "run", settings, monkeypatch)
    new = {2, 4}
    assert {(a, b) for a, b in again if {a >> 40, b >> 40} & new}
    old = {(a, b) for a, b in again if not {a >> 40, b >> 40} & new}
    assert not old & before
    grown = Done(tmp_path / "run", [])
    candidates = set(grown.rows("candidates", "a", "b"))
    assert set(again) == {
        (a, b) for a, b in candidates if {a >> 40, b >> 40} & new or (a, b) not in before
    }
    assert 20 < len(again) < len(candidates)
    refuted, near = set(grown.rows("refuted", "a", "b")), set(grown.rows("pairs", "a", "b"))
    assert candidates == refuted | near
    assert grown.files("pairs") == grown.redone("pairs", tmp_path / "anew").files("pairs")


def _compared(scan, corpus, out, settings, monkeypatch):
    """Scan; return the pairs that were compared, by their keys."""
    met: list[tuple[int, int]] = []
    slabs: list[int] = []
    honest = shingle_sets.shared_shingles

    def noted(work, places, a, b, test):
        slabs.append(len(a))
        met.extend(zip(a.tolist(), b.tolist(), strict=True))
        return honest(work, places, a, b, test)

    with monkeypatch.context() as patch:
        patch.setattr(pairs, "shared_shingles", noted)
        scan(corpus, out, *settings, filtered=False)
    assert {*slabs[:-1]} <= {shingle_sets.PAIRS_AT_ONCE}  # full of pairs that must be compared
    return met


def test_what_was_refuted_is_written_evenly_in_any_memory(verify, monkeypatch):
    """The file of candidates that are no pairs depends on no slab."""
    texts = random_texts(25, 3)
    verify(texts)
    whole = (verify.last.parent.parent / "refuted" / "all.parquet").read_bytes()
    monkeypatch.setattr(shingle_sets, "PAIRS_AT_ONCE", 7)
    verify(texts)
    assert (verify.last.parent.parent / "refuted" / "all.parquet").read_bytes() == whole


def test_chunks_of_words_change_no_byte(verify, monkeypatch):
    """Documents over many chunks give the pairs of documents in one."""
    texts, loose = random_texts(30, 6), ("near.count_threshold=0.05", "near.threshold=0.05")
    usual, _ = verify(texts, *loose)
    whole = verify.last.read_bytes()
    monkeypatch.setattr(words, "FULL", np.array([20, 2], np.int64))
    assert verify(texts, *loose)[0] == usual
    assert verify.last.read_bytes() == whole


def sets_of(documents, hashes):
    """Return the shingle sets of documents, with shingle hashes of one's own."""
    batch = text.words(pa.array(documents, pa.large_string()), 1)
    offsets, _ = text.shingles(batch, 5, 1)
    own = np.array(hashes, np.uint64)
    found = pair_kernels.distinct(offsets, own, batch.offsets, batch.hashes, 5)
    return pair_kernels.Sets(*found, batch.offsets, batch.hashes)


def test_distinct_drops_repeats_and_keeps_the_first_place():
    """Shingles of one hash and the same words are one; documents do not mix."""
    found = sets_of(["a b c d e a b c d e", "a b c d e"], [5, 1, 2, 3, 4, 5, 5])
    assert found.sets.tolist() == [0, 5, 6]
    assert found.hashes.tolist() == [1, 2, 3, 4, 5, 5]
    assert found.places.tolist() == [1, 2, 3, 4, 0, 0]


def test_a_collision_inside_a_document_is_found():
    """Two different shingles of one document under one hash are no repeat."""
    assert sets_of(["a b c d e f"], [9, 9]).sets[0] == pair_kernels.COLLISION
    assert sets_of(["a b c d e f"], [9, 8]).sets.tolist() == [0, 2]
    several = sets_of(["a b c d e", "f", "a b c d e f"], [9, 9, 3, 3])
    assert several.sets[0] == pair_kernels.COLLISION


@pytest.mark.parametrize(
    ("left", "right", "inter"),
    [
        ("a b c d e", "v w x y z", pair_kernels.COLLISION),
        ("a b c d e", "a b c d f", pair_kernels.COLLISION),
        ("a b c d e", "f b c d e", pair_kernels.COLLISION),
        ("a b c d", "a b c d e", pair_kernels.COLLISION),
        ("a b c d ef", "a b c de f", pair_kernels.COLLISION),
        ("ab", "a b", pair_kernels.COLLISION),
        ("a b c d e", "A-b-c-d-E", 1),
        ("a b", "A-b", 1),
    ],
)
def test_a_collision_between_documents_is_found(left, right, inter):
    """Under one injected hash, only the same words are the same shingle."""
    found = np.zeros(1, np.int64)
    pair_kernels.intersections(
        np.array([[0, 0]]), sets_of([left], [3]), sets_of([right], [3]), 5, np.array([1, 2]), found
    )
    assert found.tolist() == [inter]


@pytest.mark.parametrize("place", range(6))
def test_a_collision_at_any_shingle_is_found(place):
    """Of six shingles that two documents share by hash, one of other words is enough."""
    own = [f"w{n}" for n in range(10)]
    spoiled = [f"x{n}" if place <= n < place + 5 else f"w{n}" for n in range(10)]
    left = sets_of([" ".join(own)], [40, 20, 30, 10, 60, 50])
    right = sets_of([" ".join(spoiled)], [40, 20, 30, 10, 60, 50])
    found = np.zeros(1, np.int64)
    pair_kernels.intersections(np.array([[0, 0]]), left, right, 5, np.array([1, 2]), found)
    assert found.tolist() == [pair_kernels.COLLISION]


@pytest.mark.parametrize(
    "texts",
    [["a b c d e", "v w x y z"], ["a b c d e f", "a b c d e f."]],
    ids=["between", "inside"],
)
def test_a_collision_stops_the_run(verify, monkeypatch, texts):
    """With a hash that is always the same the stage refuses to count and names the next seed."""
    honest = text.shingles

    def colliding(words, size, seed):
        offsets, hashes = honest(words, size, seed)
        return offsets, np.full_like(hashes, 42)

    monkeypatch.setattr(text, "shingles", colliding)
    with pytest.raises(IntegrityError, match="same 64-bit hash") as stopped:
        verify(texts)
    assert stopped.value.fix.endswith("sketch.seed=2")


ALPHA, BETAS = "one two three four alpha six seven", "one two three four betas six seven"


@pytest.mark.parametrize("full", [(10**6, 10**6), (1, 1)], ids=["in one chunk", "in two chunks"])
def test_two_words_of_one_hash_stop_the_run(verify, monkeypatch, full):
    """Texts that are the same by all hashes, but not by their letters, are never a pair."""
    alike = text.words(pa.array(["alpha betas"], pa.large_string()), 1).hashes
    honest = kernels.scan_words

    def scan(data, offsets, place, sink, out):
        count = honest(data, offsets, place, sink, out)
        sink.hashes[:count][sink.hashes[:count] == alike[1]] = alike[0]
        return count

    assert [row[2:4] for row in verify([ALPHA, BETAS], "near.count_threshold=0.01")[0]] == []
    monkeypatch.setattr(kernels, "scan_words", scan)
    monkeypatch.setattr(words, "FULL", np.array(full, np.int64))
    with pytest.raises(IntegrityError, match="same 64-bit hash") as stopped:
        verify([ALPHA, BETAS])
    assert stopped.value.fix.endswith("sketch.seed=2")
    assert [row[2:4] for row in verify([ALPHA, ALPHA.upper()])[0]] == [(3, 3)]


def test_no_candidates_give_no_pairs(tmp_path, make_corpus, scan):
    """A corpus of one text has an empty table of pairs, and no spill folder is left."""
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": ["a b"]}), tmp_path / "run", filtered=False)
    assert done.table("pairs").num_rows == 0
    assert not list(done.folder.glob(".spill*"))


def test_a_scan_lists_pairs_of_representatives(tmp_path, make_corpus, scan):
    """Copies do not multiply pairs; names are those of the first rows."""
    one, other = planted(9, 1, 0)
    texts = [one, one, other, one, other]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", filtered=False)
    assert done.rows("pairs", "a", "b", "inter", "union") == [(0, 2, 9, 10)]
    assert truth.pairs(texts) == {(0, 2): (9, 10)}
