import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from pipeline.scan import words
from pipeline.scan.repeats import chosen, window_kernels, windows
from schemas.scan.links import LINKS
from schemas.scan.windows import WINDOWS
from tests import reference, truth

TABLES = {"windows", "spans", "repeats", "links", "anchors"}


def texts_of(seed, count=60):
    """Return texts that hold parts of one another, repeats of their own, and nothing in common."""
    draw = random.Random(seed)  # noqa: S311
    pool = [[f"p{n}w{k}" for k in range(draw.randint(20, 60))] for n in range(12)]
    texts = []
    for number in range(count):
        parts = [[f"own{number}x{k}" for k in range(draw.randint(0, 12))]]
        for _ in range(draw.randint(0, 3)):
            source = draw.choice(pool)
            low = draw.randrange(len(source))
            parts.append(source[low : low + draw.randint(1, 40)] * draw.choice([1, 1, 2]))
        draw.shuffle(parts)
        texts.append(" ".join(word for part in parts for word in part) or ".")
    return texts


@pytest.fixture(scope="module")
def texts():
    """Return the texts."""
    return texts_of(1)


@pytest.fixture(scope="module")
def done(tmp_path_factory, make_corpus, scan, texts):
    """Scan the texts in three shards and groups of many chunks; return the run."""
    folder = tmp_path_factory.mktemp("windows")
    shards = {f"{n}.jsonl": texts[20 * n : 20 * n + 20] for n in range(3)}
    corpus = make_corpus(folder / "c", shards)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FULL", np.array([300, 10**6], np.int64))
        return scan(corpus, folder / "run", "window.words=6", filtered=False)


def test_counts_are_those_of_brute_force(done, texts):
    """Every window that occurs twice is counted exactly, over chunks and shards."""
    expected = truth.window_counts(texts, 6)
    assert truth.of_runs(done) == sorted(expected.values())
    assert done.manifest["outputs"]["windows/all"]["facts"]["repeated"] == len(expected) > 100


def test_counts_stand_where_the_windows_do(done, texts):
    """A document has a row for each run of windows that occur equally often, in text order."""
    keys = [n << 40 | row for n in range(3) for row in range(20)]
    rows = zip(keys, truth.runs(texts, 6), strict=True)
    expected = [(key, *row) for key, own in rows for row in own]
    assert done.rows("windows", *WINDOWS.names) == expected


def test_links_join_the_documents_that_share_a_window(done, texts):
    """Each document that hangs together with an earlier one is named once, with the first."""
    holders: dict[tuple[str, ...], list[int]] = {}
    for place, text in enumerate(texts):
        for window in reference.windows(text, 6):
            holders.setdefault(window, []).append(place)
    parent = list(range(len(texts)))

    def root(place):
        while parent[place] != place:
            place = parent[place]
        return place

    for own in holders.values():
        for place in own:
            low, high = sorted((root(own[0]), root(place)))
            parent[high] = low
    keys = [n << 40 | row for n in range(3) for row in range(20)]
    expected = [(keys[root(n)], keys[n]) for n in range(len(texts)) if root(n) != n]
    assert done.rows("links", *LINKS.names) == expected
    assert len(expected) > 20


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.parametrize("bits", [2, 9])
def test_little_memory_changes_no_byte(done, tmp_path, monkeypatch, cores, bits):
    """Ranges of hashes gone through one by one and arrays spilled leave every table as it is."""
    monkeypatch.setattr(chosen, "SMALLEST_TABLE_BITS", bits)
    seen = set()
    honest = window_kernels.keep

    def noted(cells, range_, *rest):
        seen.add(range_)
        honest(cells, range_, *rest)

    monkeypatch.setattr(window_kernels, "keep", noted)
    read = []

    def read_chunk(place):
        read.append(place)
        return words.read_chunk(place)

    def read_positions(place, rows):
        read.append(place)
        return words.read_positions(place, rows)

    monkeypatch.setattr(chosen, "read_chunk", read_chunk)
    monkeypatch.setattr(windows, "read_positions", read_positions)
    other = done.redone("windows", tmp_path / "run", memory=600, cores=cores)
    assert len(seen) > 4
    assert set(Counter(read).values()) == {3}  # anchors, windows, spans: not once for each range
    assert other.files("windows") == done.files("windows")
    assert other.files("windows").keys() == TABLES
    assert not list(other.folder.glob(".spill*"))


@pytest.mark.parametrize("memory", [0, 600, 10**9])
def test_parts_change_no_byte(done, tmp_path, monkeypatch, memory):
    """Hashes counted a few at a time, in parts by their top bits, give the same tables."""
    monkeypatch.setattr(windows, "PART", 5)
    seen = set()
    honest = window_kernels.count_windows

    def noted(held, bounds, bits, most):
        seen.add(bits)
        return honest(held, bounds, bits, most)

    monkeypatch.setattr(window_kernels, "count_windows", noted)
    other = done.redone("windows", tmp_path / "run", memory=memory, cores=2)
    assert min(seen) > 5
    assert other.files("windows") == done.files("windows")


def test_a_table_too_small_costs_room_but_no_count(done, tmp_path, monkeypatch):
    """With four cells for all windows nothing is sorted out before counting; every number stays."""
    monkeypatch.setattr(chosen, "SMALLEST_TABLE_BITS", 2)
    monkeypatch.setattr(chosen, "CELLS_PER_ANCHOR", 0)
    counted = []
    honest = window_kernels.count_windows

    def noted(held, bounds, bits, most):
        counted.append(len(held[0]))
        return honest(held, bounds, bits, most)

    monkeypatch.setattr(window_kernels, "count_windows", noted)
    other = done.redone("windows", tmp_path / "run", memory=10**9)
    total = done.manifest["outputs"]["windows/all"]["facts"]["windows"]
    assert sum(counted) == total
    assert other.files("windows") == done.files("windows")


def test_a_usual_table_sorts_out_what_cannot_repeat(done, tmp_path, monkeypatch):
    """Most windows that occur once are not counted at all."""
    counted = []
    honest = window_kernels.count_windows

    def noted(held, bounds, bits, most):
        counted.append(len(held[0]))
        return honest(held, bounds, bits, most)

    monkeypatch.setattr(window_kernels, "count_windows", noted)
    done.redone("windows", tmp_path / "run", memory=10**9)
    repeated = sum(count for (count,) in done.rows("windows", "windows"))
    total = done.manifest["outputs"]["windows/all"]["facts"]["windows"]
    assert repeated <= sum(counted) < (repeated + total) / 2


def test_chunks_change_no_row(tmp_path, make_corpus, scan, texts):
    """Documents in one chunk or in dozens have the same windows, spans, repeats and links."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    one = scan(corpus, tmp_path / "one", "window.words=6", filtered=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FULL", np.array([1, 1], np.int64))
        many = scan(corpus, tmp_path / "many", "window.words=6", filtered=False)
    assert len(words.chunk_places([*many.folder.glob("words/*.parquet")])) > 50
    for table in sorted(TABLES - {"anchors"}):
        assert one.table(table).equals(many.table(table)), table


@pytest.mark.parametrize("size", [1, 2, 3, 5, 50])
def test_any_size_of_a_window_is_counted_exactly(tmp_path, make_corpus, scan, texts, size):
    """Windows of one word and of fifty, and spans of them, are those of the definition."""
    own = texts[:30]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": own})
    done = scan(corpus, tmp_path / "run", f"window.words={size}", filtered=False)
    expected = sorted(truth.window_counts(own, size).values())
    assert truth.of_runs(done) == expected
    columns = ("row_key", "start_byte", "end_byte", "words", "max_count", "documents")
    spans: list[list[tuple[int, ...]]] = [[] for _ in own]
    for key, *span in done.rows("spans", *columns):
        spans[key].append(tuple(span))
    assert spans == truth.spans(own, size)
    assert done.table("counts")["repeated_words"].to_pylist() == truth.covered_words(own, size)


@pytest.mark.parametrize("word", ["a", "a b", "a b c a b"])
def test_a_text_that_repeats_itself_is_counted_at_every_place(tmp_path, make_corpus, scan, word):
    """Windows that overlap themselves, where all runs in one are alike, are counted one by one."""
    texts = [" ".join([word] * 40), "z " + " ".join([word] * 9), "b a"]
    done = scan(
        make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run", "window.words=7",
        filtered=False,
    )  # fmt: skip
    expected = sorted(truth.window_counts(texts, 7).values())
    assert truth.of_runs(done) == expected
    found = done.table("counts")["repeated_words"].to_pylist()
    assert found == truth.covered_words(texts, 7)


@pytest.mark.parametrize("seed", range(30))
def test_every_window_that_repeats_has_an_anchor_that_repeats(seed):
    """Over texts of few different runs, where many are the least, no repeated window is sorted
    out, within a text or over several; an anchor is the least run of a window.
    """
    draw = np.random.default_rng(seed)
    reach = int(draw.integers(1, 7))
    lengths = draw.integers(0, 40, 6)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    runs = draw.integers(0, int(draw.integers(1, 6)), int(offsets[-1])).astype(np.uint64)
    hashes = runs << np.uint64(24)  # of which an anchor has the bits above
    counts, held, covers = window_kernels.anchors(offsets, hashes, reach)
    anchors = held >> np.uint64(24)
    of_windows = np.repeat(anchors, covers)
    assert counts.sum() == len(anchors)
    found = Counter(anchors.tolist())
    every = []
    for low, high in pairwise(offsets.tolist()):
        own = runs[low:high].tolist()
        every += [tuple(own[n : n + reach]) for n in range(len(own) - reach + 1)]
    seen = Counter(every)
    assert of_windows.tolist() == [min(window) for window in every]
    assert set(found) == {min(window) for window in seen}
    assert {min(window) for window, count in seen.items() if count > 1} <= {
        anchor for anchor, count in found.items() if count > 1
    }
