"""However a corpus came to be what it is, a run over it holds what a fresh one would."""

import random
import shutil

import pyarrow.parquet as pq
import pytest

from pipeline import run
from pipeline.engine.manifest import load_manifest
from pipeline.engine.run_folder import open_run
from pipeline.scan import inventory
from pipeline.scan.repeats import known
from tests.property.test_scan_properties import BASE, SHORT

KEYS = ("row_key", "a", "b", "representative", "keeper")
TABLES = ("counts", "pairs", "windows", "spans", "families", "documents", "decisions")
STABLE = ("near.keepers=stable", "near.threshold=0.5", "near.across_splits=true")
CONTINUED = [stage.name for stage in run.SCAN if stage.continues]
GROUPS = (400, 4_000)  # bytes: a shard or two in one, or most
NAMES = [f"{folder}{n}.jsonl" for folder in ("", "test/") for n in range(4)]


def shard(draw):
    """Return the rows of a shard: pieces of one sequence of words, edited and doubled."""
    rows = []
    for _ in range(draw.randint(1, 5)):
        start = draw.randrange(16)
        words = BASE[start : start + draw.randint(4, 14)]
        if draw.random() < 0.5:
            words.insert(draw.randrange(len(words)), draw.choice("xyz"))
        rows.append(" ".join(words * draw.randint(1, 2)))
    return rows


def change(draw, files):
    """Add, replace or remove some shards."""
    for name in draw.sample(NAMES, draw.randint(1, 3)):
        if name in files and draw.random() < 0.5:
            del files[name]
        else:
            files[name] = shard(draw)
    if not files:
        files[NAMES[0]] = shard(draw)


def plain(done, table):
    """Return the rows of a table with the names of rows in place of their keys, in order."""
    names = dict(done.rows("documents", "row_key", "doc_id"))
    first: dict[int, str] = {}
    for key, group in done.rows("copies", "row_key", "representative"):
        first[group] = min(first.get(group, names[key]), names[key])
    rows = []
    for row in done.table(table).to_pylist():
        row.update(row.pop("rote", {}))
        if "representative" in row:
            row["representative"] = first[row["representative"]]
        row.update({k: names[row[k]] for k in KEYS if isinstance(row.get(k), int)})
        if table == "pairs" and row["a"] > row["b"]:
            row.update(a=row["b"], b=row["a"], size_a=row["size_b"], size_b=row["size_a"])
        rows.append(row)
    return sorted(rows, key=repr)


def written(done, folder):
    """Return the rows of each file of kept/ or removed/, in order, but their keys."""
    return {
        path.relative_to(done.folder).as_posix(): [
            {k: v for k, v in (row | row.pop("rote")).items() if k not in KEYS}
            for row in read(path)
        ]
        for path in sorted((done.folder / folder).rglob("*.parquet"))
    }


def read(path):
    """Return the rows of a file."""
    return pq.ParquetFile(path).read().to_pylist()


def history(place, seed, steps, make_corpus, scan, settings=()):
    """Scan and filter a corpus after each of some changes; hold the last against a fresh run."""
    draw, files = random.Random(seed), dict[str, list[str]]()  # noqa: S311
    for _ in range(steps):
        change(draw, files)
        for old in (place / "c").rglob("*.jsonl"):
            old.unlink()
        make_corpus(place / "c", files)
        grown = scan(place / "c", place / "grown", *SHORT, *settings)
        for stage in CONTINUED:
            anew = grown.redone(stage, place / f"{stage}-anew")
            assert grown.files(stage) == anew.files(stage), stage
            shutil.rmtree(anew.folder)
        assert bytes_of(grown.folder) == bytes_of(emitted_anew(place, scan, settings))
    fresh = scan(place / "c", place / "fresh", *SHORT, *settings)
    for table in TABLES:
        assert plain(grown, table) == plain(fresh, table), table
    for folder in ("kept", "removed"):
        assert written(grown, folder) == written(fresh, folder)


def emitted_anew(place, scan, settings):
    """Write kept/ and removed/ of a copy of the grown run without those that were there."""
    folder = place / "emitted"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place / "grown", folder)
    with open_run(folder) as opened:
        opened.forget([name for name in opened.manifest["outputs"] if name.startswith("emit/")])
    scan(place / "c", folder, *SHORT, *settings)
    return folder


def bytes_of(folder):
    """Return the bytes of each file of kept/ and removed/, and the facts of their groups."""
    files = [path for name in ("kept", "removed") for path in (folder / name).rglob("*.*")]
    outputs = load_manifest(folder)["outputs"]
    facts = {name: outputs[name]["facts"] for name in outputs if name.startswith("emit/")}
    return {path.relative_to(folder): path.read_bytes() for path in files}, facts


@pytest.fixture(autouse=True)
def groups(monkeypatch):
    """Let a group hold a shard or two, and stages go on from their last output always."""
    monkeypatch.setattr(inventory, "GROUP_BYTES", GROUPS[0])
    monkeypatch.setattr(known, "MOST", 0)


@pytest.mark.parametrize("seed", range(2))
def test_a_grown_run_is_a_fresh_run(tmp_path, make_corpus, scan, monkeypatch, seed):
    """Shards that were added, replaced and removed in any order leave no trace."""
    monkeypatch.setattr(inventory, "GROUP_BYTES", GROUPS[seed % 2])
    history(tmp_path, seed, 4, make_corpus, scan)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_long_histories(tmp_path, make_corpus, scan, monkeypatch, seed):
    """The same at length, with buckets of candidates that are not paired in full."""
    monkeypatch.setattr(inventory, "GROUP_BYTES", GROUPS[seed // 2 % 2])
    settings = ("near.bucket_cap=3", "near.neighbours=2") if seed % 2 else ()
    history(tmp_path, seed, 10, make_corpus, scan, settings)


def remembered(place, seed, steps, make_corpus, scan):
    """Scan a changing corpus with stable keepers; hold each filter against the one before.

    Return the bytes of all files of the run folder, but the log of events.
    """
    draw, files, stayed = random.Random(seed), dict[str, list[str]](), set[tuple[str, str]]()  # noqa: S311
    for _ in range(steps):
        change(draw, files)
        for old in (place / "c").rglob("*.jsonl"):
            old.unlink()
        make_corpus(place / "c", files)
        done = scan(place / "c", place / "run", *SHORT, *STABLE)
        there = done.rows("documents", "doc_id", "text_hash", "keeper")
        gone = {(name, text) for name, text, keeper in there if keeper is not None}
        assert stayed & gone == set()
        stayed = {(name, text) for name, text, _ in there} - gone
    return {
        path.relative_to(place / "run").as_posix(): path.read_bytes()
        for path in sorted((place / "run").rglob("*"))
        if path.is_file() and path.parent.name != "events"
    }


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 9))]
)
def test_a_row_that_stayed_stays_and_the_same_history_gives_the_same_bytes(
    tmp_path, make_corpus, scan, seed
):
    """With `near.keepers = "stable"`, whatever is added, replaced and removed."""
    one, other = (
        remembered(tmp_path / name, seed, 4, make_corpus, scan) for name in ("one", "other")
    )
    assert one.keys() == other.keys()
    differing = {name for name in one if one[name] != other[name]}
    assert differing <= {"manifest.json"}, differing  # which has the paths and times of the shards
