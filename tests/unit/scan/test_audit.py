import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest

from pipeline.scan import words as words_table
from pipeline.scan.near import audit, band_kernels
from pipeline.scan.near.band_kernels import Bands
from pipeline.text import segmentation as text
from schemas.scan.audit import AUDIT
from tests import reference

FEW_BANDS = ("sketch.bands=4", "sketch.rows=6")
MOST = 10**5


def texts_of(count, seed=5):
    """Return texts of 20 to 80 words, and some shorter ones."""
    draw = random.Random(seed)  # noqa: S311
    lengths = [draw.choice([3, 12, 20, 30, 50, 80]) for _ in range(count)]
    return [" ".join(f"w{draw.randrange(3000)}" for _ in range(length)) for length in lengths]


@pytest.fixture
def sixteen(monkeypatch):
    """Sample sixteen documents."""
    monkeypatch.setattr(audit, "SAMPLED", 16)


@pytest.fixture
def edited(monkeypatch):
    """Give the list of the words of every copy that is planted, in order."""
    made, honest = [], audit._edited

    def noted(*given):
        made.append(honest(*given))
        return made[-1]

    monkeypatch.setattr(audit, "_edited", noted)
    return made


def spelling(texts):
    """Return the words of texts by their hashes."""
    batch = text.words(pa.array(texts, pa.large_string()), 1)
    return dict(
        zip(batch.hashes.tolist(), [w for t in texts for w in reference.words(t)], strict=True)
    )


@pytest.mark.usefixtures("sixteen")
def test_what_is_told_is_what_a_real_copy_would_do(tmp_path, make_corpus, scan, edited):
    """Every planted copy, put into the corpus as a document of its own, is proposed where the audit
    says so, with the Jaccard that it says.
    """
    texts = texts_of(40)
    settings = (*FEW_BANDS, f"near.bucket_cap={MOST}", "near.count_threshold=0.01")
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    rows = scan(corpus, tmp_path / "run", *settings, filtered=False).table("audit").to_pylist()
    assert len(rows) == len(edited) == 4 * 16
    words = spelling(texts)
    copies = [" ".join(words[hashed] for hashed in own.tolist()) for own in edited]
    both = make_corpus(tmp_path / "both", {"a.jsonl": texts, "b.jsonl": copies})
    done = scan(both, tmp_path / "run2", *settings, filtered=False)
    first = dict(done.rows("copies", "row_key", "representative"))
    proposed = {*done.rows("candidates", "a", "b")}
    listed = {(a, b): (i, u) for a, b, i, u in done.rows("pairs", "a", "b", "inter", "union")}
    told: Counter[str] = Counter()
    for number, row in enumerate(rows):
        pair = (first[row["row_key"]], first[1 << 40 | number])
        assert (pair in proposed) == row["proposed"]
        shared, either = reference.jaccard(texts[row["row_key"]], copies[number])
        assert (row["inter"], row["union"], row["jaccard"]) == (shared, either, shared / either)
        if row["proposed"]:
            assert listed[pair] == (shared, either)
        told[row["proposed"]] += 1
    assert min(told.values()) > 10


@pytest.mark.usefixtures("sixteen")
def test_edits_do_what_they_are_called(tmp_path, make_corpus, scan, edited):
    """Words are put in, taken out, exchanged or put at the end, at the rate that is told."""
    texts = texts_of(40)
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", filtered=False)
    rows = done.table("audit").to_pylist()
    assert Counter(row["edit"] for row in rows) == dict.fromkeys(audit.EDITS, 16)
    assert {round(row["rate"], 4) for row in rows if row["edit"] != "append"} == {*audit.RATES}
    for row, own in zip(rows, edited, strict=True):
        given = text.words(pa.array([texts[row["row_key"]]], pa.large_string()), 1).hashes
        count = max(1, round(row["rate"] * len(given)))
        size = {"insert": count, "append": count, "delete": -count, "substitute": 0}[row["edit"]]
        assert len(own) - len(given) == size
        if row["edit"] == "append":
            assert own[: len(given)].tolist() == given.tolist()
        if row["edit"] == "substitute":
            assert 0 < int((own != given).sum()) <= count
        assert len(given) >= audit.WORDS[0]
    assert done.table("audit").schema.names == AUDIT.names


@pytest.mark.usefixtures("sixteen")
def test_the_sample_depends_on_the_texts_alone(tmp_path, make_corpus, scan, monkeypatch):
    """Of one text each only; however chunks are cut and shards are named, the same documents."""
    texts = texts_of(60)
    named = {"a.jsonl": texts * 2}, {"y.jsonl": texts[31:], "z.jsonl": texts[:31]}
    found = []
    for number, files in enumerate(named):
        corpus = make_corpus(tmp_path / f"c{number}", files)
        rows = scan(corpus, tmp_path / f"run{number}", filtered=False).table("audit").to_pylist()
        of = [*files.values()]
        place = [(row["row_key"] >> 40, row["row_key"] & (1 << 40) - 1) for row in rows]
        facts = [[row[name] for name in row if name != "row_key"] for row in rows]
        found.append(sorted([of[shard][own], *fact] for (shard, own), fact in
                            zip(place, facts, strict=True)))  # fmt: skip
        monkeypatch.setattr(words_table, "FULL", np.array([100, 80], np.int64))
    assert found[0] == found[1]
    assert Counter(Counter(row[0] for row in found[0]).values()) == {4: 16}


def test_a_corpus_without_texts_to_edit_has_no_audit(tmp_path, make_corpus, scan):
    """Short and wordless documents are not edited; their scan ends well."""
    texts = ["...", "a b", "one two three four five six seven", "a b"]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run")
    assert done.table("audit").num_rows == 0


@pytest.mark.usefixtures("sixteen")
def test_copies_in_a_capped_bucket_are_measured(tmp_path, make_corpus, scan):
    """Where most of a corpus is one template, buckets are capped, and copies in them are told."""
    template = " ".join(f"t{n}" for n in range(60))
    texts = [f"{template} own{n}" for n in range(200)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    done = scan(corpus, tmp_path / "run", "near.bucket_cap=20", "near.neighbours=3")
    facts = done.manifest["outputs"]["candidates/all"]["facts"]
    assert facts["capped_buckets"] == facts["bands"]
    told = Counter(done.table("audit")["proposed"].to_pylist())
    assert sum(told.values()) == 64
    assert told[True] > 40


@pytest.mark.usefixtures("sixteen")
def test_a_copy_in_a_crowd_is_told_as_a_real_one_would_fare(tmp_path, make_corpus, scan, edited):
    """Of copies that are put into the corpus, as many are compared with their document or with one
    that it is compared with too as the audit says, or more.
    """
    template = " ".join(f"t{n}" for n in range(60))
    texts = [f"{template} {' '.join(f'o{n}x{k}' for k in range(12))}" for n in range(200)]
    settings = ("near.bucket_cap=20", "near.neighbours=3", "near.count_threshold=0.01")
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    rows = scan(corpus, tmp_path / "run", *settings, filtered=False).table("audit").to_pylist()
    words = spelling(texts)
    copies = [" ".join(words[hashed] for hashed in own.tolist()) for own in edited]
    both = make_corpus(tmp_path / "both", {"a.jsonl": texts, "b.jsonl": copies})
    done = scan(both, tmp_path / "run2", *settings, filtered=False)
    met: defaultdict[int, set[int]] = defaultdict(set)
    for a, b in done.rows("candidates", "a", "b"):
        met[a].add(b)
        met[b].add(a)
    real = [
        row["row_key"] in met[1 << 40 | number] or bool(met[row["row_key"]] & met[1 << 40 | number])
        for number, row in enumerate(rows)
    ]
    told = [row["proposed"] for row in rows]
    assert sum(told) > 20
    assert sum(t and not r for t, r in zip(told, real, strict=True)) <= len(rows) // 10


def test_copies_are_proposed_by_the_bands_that_hold_their_original():
    """A copy meets a document that is not crowded in every bucket that they share, in no other."""
    draw = np.random.default_rng(3)
    count, bands = 50, 3
    keys = draw.integers(0, 8, (bands, count)).astype(np.uint64)
    own = Bands(np.arange(bands), keys, draw.integers(0, 2**64, count, dtype=np.uint64))
    of = np.repeat(np.arange(count), 3)
    kept = draw.random((bands, len(of))) < 0.4
    copies = np.where(kept, keys[:, of], np.uint64(99)).T.copy()
    nothing, codes = np.zeros(len(of), np.int64), np.zeros((len(of), 4), np.uint64)
    planted = audit.PlantedCopies(
        of,
        of.astype(np.uint64),
        ["insert"] * len(of),
        nothing,
        nothing,
        nothing,
        copies,
        codes,
        np.zeros(bands, np.int64),
    )
    for b in range(bands):
        planted.meet(own, b, band_kernels.buckets(own, b), None, None)
    assert planted.proposed.tolist() == kept.any(axis=0).tolist()
