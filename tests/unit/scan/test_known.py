import random
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from pipeline import run as stages
from pipeline.engine.manifest import manifest_bytes
from pipeline.engine.tables import ROW_GROUP, write_table
from pipeline.errors import IntegrityError
from pipeline.scan import inventory, words
from pipeline.scan.repeats import known, windows
from pipeline.scan.repeats.anchors import AnchorSet, ChunkAnchors, read_anchors
from schemas.scan.anchors import ANCHORS
from schemas.scan.windows import WINDOWS

SETTINGS = ("window.words=6", "window.link_documents=3")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let each shard be a group of many chunks, and what is known be of use whatever changed."""
    monkeypatch.setattr(inventory, "GROUP_BYTES", 1)
    monkeypatch.setattr(words, "FULL", np.array([80, 10**6], np.int64))
    monkeypatch.setattr(known, "MOST", 0)


@pytest.fixture
def looks(monkeypatch):
    """Note how many documents are looked at again, each time that it is not all."""
    found = []
    honest = known.Known.of

    def noted(*args):
        made = honest(*args)
        if made:
            found.append(int(made.again.sum()))
        return made

    monkeypatch.setattr(known.Known, "of", noted)
    return found


def passage(name, count=9):
    """Return words that occur nowhere else."""
    return " ".join(f"{name}{n}" for n in range(count))


def shards():
    """Return shards of texts that share passages in chains, and texts that share nothing."""
    return {
        "a.jsonl": [f"{passage('p')} {passage('q')}", passage("alone-a", 40)],
        "b.jsonl": [f"{passage('q')} {passage('r')}", f"{passage('r')} {passage('s')}"],
        "c.jsonl": [passage("s"), passage("twice") + " x " + passage("twice"), "short"],
        "d.jsonl": [passage("alone-d", 40), f"y {passage('u')}"],
        "e.jsonl": [f"z {passage('u')}", passage("u")],
    }


def changed(place, looks, make_corpus, scan, files):
    """Scan a corpus, change it, and scan again; hold every table against one made anew.

    Return how many documents were looked at again, and the rows of `links` by the documents' ids.
    """
    corpus = make_corpus(place / "c", shards())
    scan(corpus, place / "run", *SETTINGS, filtered=False)
    for path in corpus.iterdir():
        path.unlink()
    make_corpus(corpus, files)
    grown = scan(corpus, place / "run", *SETTINGS, filtered=False)
    assert grown.files("windows") == grown.redone("windows", place / "anew").files("windows")
    (look,) = looks
    names = dict(grown.rows("counts", "row_key", "doc_id"))
    return look, {(names[a], names[b]) for a, b in grown.rows("links", "a", "b")}


def test_a_text_that_shares_nothing_makes_nothing_else_looked_at(
    tmp_path, looks, make_corpus, scan
):
    """Of a new shard its own documents are looked at alone."""
    files = shards() | {"f.jsonl": [passage("new", 30), passage("newer", 8)]}
    again, _ = changed(tmp_path, looks, make_corpus, scan, files)
    assert again == 2


def test_a_window_that_occurred_once_is_found_again(tmp_path, looks, make_corpus, scan):
    """A new copy of a text that had none makes that text a repeated one."""
    files = shards() | {"f.jsonl": [passage("alone-d", 40)]}
    again, links = changed(tmp_path, looks, make_corpus, scan, files)
    assert again == 2
    assert ("d.jsonl#0", "f.jsonl#0") in links


def test_windows_of_which_all_holders_are_gone_are_gone(tmp_path, looks, make_corpus, scan):
    """What two removed shards alone repeat leaves no row behind."""
    files = {name: rows for name, rows in shards().items() if name in ("a.jsonl", "b.jsonl")}
    again, links = changed(tmp_path, looks, make_corpus, scan, files)
    assert again == 3  # those that hung together with a removed one
    assert links == {("a.jsonl#0", "b.jsonl#0"), ("a.jsonl#0", "b.jsonl#1")}


def test_a_chain_that_lost_its_middle_falls_apart(tmp_path, looks, make_corpus, scan):
    """Documents that hung together by a removed one alone are linked no more."""
    files = shards()
    del files["b.jsonl"]
    _, links = changed(tmp_path, looks, make_corpus, scan, files)
    assert links == {("d.jsonl#1", "e.jsonl#0"), ("d.jsonl#1", "e.jsonl#1")}


def test_a_window_that_too_many_hold_now_links_no_more(tmp_path, looks, make_corpus, scan):
    """With a fourth holder, one more than `window.link_documents`, the three fall apart."""
    files = shards() | {"f.jsonl": [f"{passage('u')} v"]}
    again, links = changed(tmp_path, looks, make_corpus, scan, files)
    assert again == 4
    assert not [pair for pair in links if pair[1] > "d"]


def test_a_window_that_fewer_hold_now_links(tmp_path, looks, make_corpus, scan, monkeypatch):
    """Without its fourth holder a window links the other three."""
    rows = shards()
    monkeypatch.setitem(globals(), "shards", lambda: rows | {"f.jsonl": [passage("u")]})
    _, links = changed(tmp_path, looks, make_corpus, scan, rows)
    assert {("d.jsonl#1", "e.jsonl#0"), ("d.jsonl#1", "e.jsonl#1")} <= links


def test_a_replaced_shard_is_gone_and_new(tmp_path, looks, make_corpus, scan):
    """Rows that have the keys of others before have nothing of theirs."""
    files = shards() | {"b.jsonl": [passage("alone-a", 40), passage("r")]}
    changed(tmp_path, looks, make_corpus, scan, files)


def pieces(seed, count):
    """Return texts of parts of few passages."""
    draw = random.Random(seed)  # noqa: S311
    pool = [passage(f"p{n}w", 30).split() for n in range(8)]
    texts = []
    for number in range(count):
        parts = [[f"own{number}x{seed}"] * draw.randint(0, 3)]
        for _ in range(draw.randint(0, 3)):
            source = draw.choice(pool)
            low = draw.randrange(20)
            parts.append(source[low : low + draw.randint(1, 12)] * draw.choice([1, 1, 2]))
        texts.append(" ".join(word for part in parts for word in part) or ".")
    return texts


@pytest.mark.parametrize("seed", range(4))
def test_parts_and_row_groups_change_no_byte(tmp_path, looks, make_corpus, scan, monkeypatch, seed):
    """Counted in many parts, from a table of many row groups, in little memory: the same bytes."""
    monkeypatch.setattr(windows, "PART", 5)
    rows = {f"{n}.jsonl": pieces(10 * seed + n, 12) for n in range(6)}
    monkeypatch.setitem(globals(), "shards", lambda: rows)
    files = rows | {"3.jsonl": pieces(10 * seed + 7, 12), "9.jsonl": pieces(10 * seed + 8, 12)}
    del files["1.jsonl"]
    changed(tmp_path, looks, make_corpus, scan, files)


@pytest.mark.parametrize("how", ["version", "settings", "damaged", "lost", "half", "room"])
def test_what_cannot_be_trusted_is_not_gone_on_from(
    tmp_path, looks, make_corpus, scan, monkeypatch, how
):
    """Of other code or settings, with a file that changed or went, half of a corpus that is new,
    or no room for what changed: everything is made anew.
    """
    corpus = make_corpus(tmp_path / "c", shards())
    scan(corpus, tmp_path / "run", *SETTINGS, filtered=False)
    make_corpus(corpus, {"f.jsonl": [passage("u")]})
    own = tmp_path / "run" / "anchors" / "all.parquet"
    settings = SETTINGS
    if how == "version":
        stage = stages.STAGES["windows"]
        older = type(stage)(**{**vars(stage), "version": stage.version + 1})
        monkeypatch.setitem(stages.STAGES, "windows", older)
        scanned = tuple(older if one is stage else one for one in stages.SCAN)
        monkeypatch.setattr(stages, "SCAN", scanned)
    elif how == "settings":
        settings = ("window.words=5", "window.link_documents=3")
    elif how == "damaged":
        data = bytearray(own.read_bytes())
        data[40] ^= 1
        own.write_bytes(data)
    elif how == "lost":
        own.unlink()
    elif how == "room":
        monkeypatch.setattr(known, "ROOM_OF_ANCHOR", 2**62)
    else:
        monkeypatch.setattr(known, "MOST", 4)
        make_corpus(corpus, {"f.jsonl": pieces(1, 40)})
    grown = scan(corpus, tmp_path / "run", *settings, filtered=False)
    assert looks == []
    assert grown.files("windows") == grown.redone("windows", tmp_path / "anew").files("windows")


@pytest.mark.parametrize("size", [0, 1, 5, 3000])
def test_a_set_of_anchors_tells_its_own(size):
    """Every anchor of a set and no other one is found in it."""
    draw = np.random.default_rng(size)
    own = draw.integers(0, 2**40, size, np.uint64)
    others = np.concatenate([own, draw.integers(0, 2**40, 20_000, np.uint64)])
    found = AnchorSet([own[: size // 2], own[size // 2 :]])
    assert len(found) == len(np.unique(own))
    assert found.holds(others).tolist() == np.isin(others, own).tolist()


def test_anchors_are_read_as_they_were_written(tmp_path):
    """All of the bits that an anchor is told by, of none and of many documents."""
    draw = np.random.default_rng(0)
    counts = np.array([3, 0, 2], np.uint32)
    own = draw.integers(0, 2**40, 5, np.uint64)
    tops, more = (own >> np.uint64(8)).astype(np.uint32), own.astype(np.uint8)
    covers = draw.integers(1, 2**16, 5, np.uint16)
    chunks = [
        ChunkAnchors("g00000", counts, tops, more, covers),
        ChunkAnchors("g00001", counts[:0], tops[:0], more[:0], covers[:0]),
    ]
    assert chunks[0].anchors.tolist() == own.tolist()
    assert chunks[0].windows().tolist() == [covers[:3].sum(dtype=int), 0, covers[3:].sum(dtype=int)]
    of = chunks[0].of(np.array([1, 2]))
    assert (of.counts.tolist(), of.covers.tolist()) == ([0, 2], covers[3:].tolist())
    with write_table(tmp_path, "anchors", "all", ANCHORS) as out:
        for chunk in chunks:
            out.write(chunk.row())
    for one, other in zip(read_anchors(out.place), chunks, strict=True):
        assert one.unit == other.unit
        assert one.counts.tolist() == other.counts.tolist()
        assert one.anchors.tolist() == other.anchors.tolist()
        assert one.covers.tolist() == other.covers.tolist()


def test_windows_that_are_not_of_their_documents_are_refused(tmp_path, make_corpus, scan):
    """A row of the last table that goes beyond a document is told, and nothing is counted by it."""
    corpus = make_corpus(tmp_path / "c", shards())
    done = scan(corpus, tmp_path / "run", *SETTINGS, filtered=False)
    rows = done.table("windows").to_pylist()
    (last,) = [row for row in rows if row["row_key"] == rows[-1]["row_key"]]
    last["windows"] += 1
    replaced(done, "windows", pa.Table.from_pylist(rows, WINDOWS))
    make_corpus(corpus, {"f.jsonl": [passage("u")]})
    with pytest.raises(IntegrityError, match="damaged or missing") as refused:
        scan(corpus, done.folder, *SETTINGS, filtered=False)
    assert refused.value.where == str(done.folder / "windows" / "all.parquet")


def replaced(done, table, rows, group=ROW_GROUP):
    """Write a table of `windows` anew, and let the manifest know of it."""
    (done.folder / table / "all.parquet").unlink()
    with write_table(done.folder, table, "all", rows.schema, group=group) as out:
        out.write(rows)
    manifest = done.manifest
    files = manifest["outputs"]["windows/all"]["files"]
    (own,) = [one for one in files if one["table"] == table]
    own.update(asdict(out.record))
    (done.folder / "manifest.json").write_bytes(manifest_bytes(manifest))


@pytest.mark.parametrize("how", ["another count", "a document less", "a chunk less"])
def test_anchors_that_are_not_of_the_corpus_are_refused(tmp_path, make_corpus, scan, how):
    """A run folder may come from anyone: a file that its manifest knows need not fit the others."""
    corpus = make_corpus(tmp_path / "c", shards())
    done = scan(corpus, tmp_path / "run", *SETTINGS, filtered=False)
    path = done.folder / "anchors" / "all.parquet"
    rows = done.table("anchors").to_pylist()
    counts = np.frombuffer(rows[0]["counts"], np.uint32).copy()
    if how == "another count":
        rows[0]["counts"] = (counts + 1).astype(np.uint32).tobytes()
    elif how == "a document less":
        rows[0] |= {"counts": counts[:0].tobytes(), "anchors": b"", "more": b""}
    else:
        del rows[0]
    replaced(done, "anchors", pa.Table.from_pylist(rows, ANCHORS), group=1)
    make_corpus(corpus, {"f.jsonl": [passage("u")]})
    with pytest.raises(IntegrityError, match="damaged or missing") as refused:
        scan(corpus, done.folder, *SETTINGS, filtered=False)
    assert refused.value.where == str(path)
