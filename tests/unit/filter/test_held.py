"""Rows that another run holds are kept out, each with the row that proves it."""

import json
import random

import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.memory import release
from pipeline.engine.shards import row_of
from pipeline.errors import ConfigError, IntegrityError, RunFolderError
from pipeline.filter import held
from pipeline.inspect.explain import explain
from tests import reference
from tests.unit.matching.brute import shingles

DRAW = random.Random(5)  # noqa: S311 - texts of a test
WORDS = [f"word{n}" for n in range(400)]


def prose(size):
    """Return a text of so many words."""
    return " ".join(DRAW.choice(WORDS) for _ in range(size))


LICENCE = prose(60)
THEIRS = [prose(120) for _ in range(6)] + [f"{LICENCE} {prose(30)}" for _ in range(6)]
EDITED = THEIRS[1].split()
OURS = {
    "exact": THEIRS[0],
    "exact again": THEIRS[0],
    "case": THEIRS[3].upper(),
    "near": " ".join([*EDITED[:60], "other", *EDITED[61:]]),
    "excerpt": " ".join(THEIRS[2].split()[20:80]),
    "new": prose(120),
    "new licence": f"{LICENCE} {prose(30)}",
    "few": "a few words",
    "few signs": "a = few words",
    "half": " ".join([*THEIRS[4].split()[:60], *prose(60).split()]),
}
SETTINGS = ("near.containment=0.9", "near.threshold=0.8")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, make_corpus, scan):
    """Return a run of ours that keeps out what a run of theirs holds, and theirs."""
    folder = tmp_path_factory.mktemp("held")
    theirs = {"a.jsonl": THEIRS[:5], "b.parquet": [*THEIRS[5:], "a few + words", ""]}
    scan(make_corpus(folder / "theirs", theirs), folder / "index", filtered=False)
    rows = [{"id": name, "text": text} for name, text in OURS.items()]
    corpus = make_corpus(folder / "ours", {"a.jsonl": rows[:4], "b.jsonl": rows[4:]})
    before = contents(folder / "index")
    done = scan(corpus, folder / "run", *SETTINGS, f"minus.run={folder / 'index'}")
    assert contents(folder / "index") == before
    return done, folder


def contents(folder):
    """Return the bytes and the times of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]


def by_brute_force():
    """Return the method, shared and all shingles, and row of the best proof of each text."""
    found = {}
    theirs = [*enumerate(THEIRS), (len(THEIRS), "a few + words")]
    for name, own in OURS.items():
        a = shingles(reference.words(own))
        best: list[tuple[int, float, int, str, int | None, int | None]] = []
        for row, other in theirs:
            b = shingles(reference.words(other))
            shared, either = len(a & b), len(a | b)
            if own == other:
                best.append((3, 1.0, -row, "exact", None, None))
            elif 5 * shared >= 4 * either and len(own.split()) >= 50:
                best.append((2, shared / either, -row, "near", shared, either))
            elif 10 * shared >= 9 * len(a) and len(own.split()) >= 50:
                best.append((1, shared / len(a), -row, "contained", shared, len(a)))
        if best:
            _, _, row, *what = max(best)
            found[name] = (*what, -row)
    return found


def test_each_held_row_has_its_best_proof(folders):
    """Exact, near and contained by the definitions; short texts must agree in their symbols."""
    done, _ = folders
    names = dict(done.rows("counts", "row_key", "doc_id"))
    columns = ("row_key", "method", "shared", "total", "their_shard", "their_row")
    found = {
        names[key]: (method, shared, total, row + (5 if shard == "b.parquet" else 0))
        for key, method, shared, total, shard, row in done.rows("held", *columns)
    }
    expected = by_brute_force()
    assert {*expected} == {"exact", "exact again", "case", "near", "excerpt"}
    assert found == expected
    facts = done.manifest["outputs"]["held/all"]["facts"]
    assert (facts["rows"], facts["exact"], facts["near"], facts["contained"]) == (5, 2, 2, 1)


def test_rows_go_with_the_row_that_proves_it(folders):
    """removed/ names shard, row and digest of the other run; an explanation tells them."""
    done, folder = folders
    removed = [
        row["rote"] | {"id": row["id"]}
        for path in (folder / "run" / "removed").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    gone = {row["id"]: row for row in removed}
    assert {*gone} == {"exact", "exact again", "case", "near", "excerpt"}
    assert {(row["rule"], row["reason"], row["keeper"]) for row in removed} == {
        ("minus", "held", None)
    }
    names = ("held_method", "held_doc_id", "held_shard", "held_row")
    assert [gone["exact"][name] for name in names] == ["exact", "a.jsonl#0", "a.jsonl", 0]
    index = json.loads((folder / "index" / "manifest.json").read_text())
    digests = {s["name"]: s["content_digest"] for s in index["corpus"]["shards"]}
    assert gone["near"]["held_digest"] == digests["a.jsonl"]
    said = " ".join(explain(folder / "run", "near").split())
    assert "REMOVED as one that the other run holds (rule minus)" in said
    assert "held by a.jsonl#1 (a.jsonl, row 1, digest" in said
    assert sum(row_of(key) >= 0 for key, _ in done.rows("held", "row_key", "method")) == 5


def test_memory_changes_no_byte(folders, monkeypatch, tmp_path):
    """Texts that are looked for one chunk at a time give the same table."""
    done, _ = folders
    monkeypatch.setattr(held, "MOST_WORDS", 1)
    again = done.redone("held", tmp_path / "again")
    assert again.files("held") == done.files("held")
    release()


def test_another_run_that_does_not_fit_is_refused(folders, scan, tmp_path):
    """Other settings, the run itself, and a folder that is none are refused with what to do."""
    _, folder = folders
    base = json.loads((folder / "run" / "manifest.json").read_text())["config"]

    def refuse(settings, kind, said):
        config = load_config(settings=settings, base=base)
        with (
            pytest.raises(kind, match=said),
            run.session(folder / "run", config, LocalMapper(1)) as session,
        ):
            run.filter_rows(session)

    scan(folder / "theirs", tmp_path / "other", "sketch.shingle_words=4", filtered=False)
    refuse([f"minus.run={tmp_path / 'other'}"], ConfigError, "scanned with other settings")
    refuse([f"minus.run={folder / 'run'}"], ConfigError, "against itself")
    refuse([f"minus.run={tmp_path / 'nowhere'}"], RunFolderError, "not a run folder")


def test_a_row_that_stays_though_it_is_held_stops_the_filter(folders, monkeypatch):
    """The audit in SQL holds each decision against the table and its proof."""
    from pipeline.filter import kept_out

    _, folder = folders
    base = json.loads((folder / "run" / "manifest.json").read_text())["config"]
    monkeypatch.setattr(kept_out, "kept_out", lambda _: iter(()))
    config = load_config(settings=["near.keep=earliest"], base=base)
    with (
        pytest.raises(IntegrityError, match="held by the other run without proof, or stays"),
        run.session(folder / "run", config, LocalMapper(1)) as session,
    ):
        run.filter_rows(session)
