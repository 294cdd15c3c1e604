"""Of a group that is written again, the shards of which nothing changed stand as they are."""

import gzip
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import run
from pipeline.config.load import load_config
from pipeline.corpus import read_documents as texts_of
from pipeline.engine import run_folder
from pipeline.engine.check import check
from pipeline.engine.files import named
from pipeline.engine.run_folder import open_run
from pipeline.engine.session import idle, one_by_one
from pipeline.errors import IntegrityError
from pipeline.filter.emit import emit
from pipeline.filter.emit.renewed import RenewedFile
from pipeline.scan import inventory

TEXTS = {f"{n}.jsonl": [f"text {m} of shard {n} and of no other" for m in range(3)] for n in "abcd"}


@pytest.fixture(scope="module")
def first(tmp_path_factory, make_corpus, scan):
    """Scan and filter four shards, which are one group."""
    folder = tmp_path_factory.mktemp("standing")
    done = scan(make_corpus(folder / "c", TEXTS), folder / "run")
    assert [name for name in done.performed if name.startswith("emit/")] == ["emit/g00000"]
    return done


@pytest.fixture
def again(first, tmp_path, make_corpus, scan):
    """Give a function that scans and filters a copy of the run over other shards."""

    def grown(shards, *settings, damage=None):
        folder = shutil.copytree(first.folder, tmp_path / "run")
        if damage is not None:
            damage(folder)
        return scan(make_corpus(tmp_path / "c", shards), folder, *settings)

    return grown


def written(first, done):
    """Return the files of kept/ and removed/ that are not those of the first run as they lie."""
    return {
        path.relative_to(done.folder).as_posix()
        for name in ("kept", "removed")
        for path in (done.folder / name).glob("*.parquet")
        if not (old := first.folder / path.relative_to(done.folder)).exists()
        or old.stat().st_mtime_ns != path.stat().st_mtime_ns
    }


@pytest.mark.parametrize("texts", [[], [None, ""]])
def test_a_shard_without_documents_comes(first, again, monkeypatch, texts):
    """It is a group of its own that no table knows of: its files are empty, no other is written."""
    monkeypatch.setattr(inventory, "GROUP_SHARDS", 1)
    done = again({**TEXTS, "e.jsonl": texts})
    assert written(first, done) == {"kept/e.parquet", "removed/e.parquet"}
    assert pq.read_metadata(done.folder / "kept/e.parquet").num_rows == 0
    assert "emit/g00001" in done.performed


columns_of = RenewedFile.user_columns
COPY = {**TEXTS, "e.jsonl": [TEXTS["b.jsonl"][0]]}


def test_only_shards_whose_rows_changed_are_written(first, again, tmp_path, scan):
    """A copy in a new shard changes the count of one row: of four shards one file is another."""
    done = again(COPY)
    files = {"kept/b.parquet", "kept/e.parquet", "removed/e.parquet"}
    assert written(first, done) == files
    fresh = scan(tmp_path / "c", tmp_path / "fresh")
    for name in ("kept", "removed"):
        for path in (fresh.folder / name).glob("*.parquet"):
            assert path.read_bytes() == (done.folder / path.relative_to(fresh.folder)).read_bytes()
    lists = [json.loads((one.folder / "lists/kept.json").read_bytes()) for one in (done, fresh)]
    assert lists[0]["files"] == lists[1]["files"]


@pytest.fixture
def read(monkeypatch):
    """Give the names of the shards that emit reads, in order."""
    names = []

    def noted(shard, *more, **named):
        names.append(shard.name)
        return texts_of(shard, *more, **named)

    monkeypatch.setattr(emit, "read_documents", noted)
    return names


def same_bytes(one, other):
    """Tell whether two runs have the same files of rows."""
    for path in [*one.folder.glob("kept/*.*"), *one.folder.glob("removed/**/*.*")]:
        assert path.read_bytes() == (other.folder / path.relative_to(one.folder)).read_bytes()


MASKS = ("policy.rules=['drop-copies', 'cut-spans']", "window.words=3", "policy.cut=mask")
CUTS = (*MASKS[:2], "policy.cut=later")


@pytest.mark.parametrize("settings", [(), MASKS, CUTS, ("emit.format=jsonl",)])
def test_of_rows_that_are_known_otherwise_no_text_is_read(
    tmp_path, make_corpus, scan, read, settings
):
    """A copy's first row has another count: its file has the texts that it had, as they lie.

    JSON Lines have no columns, so they are written whole.
    """
    scan(make_corpus(tmp_path / "c", TEXTS), tmp_path / "run", *settings)
    read.clear()
    done = scan(make_corpus(tmp_path / "c", COPY), tmp_path / "run", *settings)
    lines = settings == ("emit.format=jsonl",)
    assert sorted(read) == (["b.jsonl", "e.jsonl"] if lines else ["e.jsonl"])
    same_bytes(scan(tmp_path / "c", tmp_path / "fresh", *settings), done)


@pytest.mark.parametrize("settings", [(), MASKS, CUTS])
def test_a_row_goes_and_comes_back(tmp_path, make_corpus, scan, read, settings):
    """Its values are read from one file and written to the other, unless rules change texts."""
    scan(make_corpus(tmp_path / "c", TEXTS), tmp_path / "run", *settings)
    read.clear()
    better = make_corpus(tmp_path / "c", {**TEXTS, "0.jsonl": [TEXTS["b.jsonl"][0]]})
    done = scan(better, tmp_path / "run", *settings)
    assert done.rows("removed", "text")[0] == (TEXTS["b.jsonl"][0],)
    assert ("b.jsonl" in read) == bool(settings)
    (better / "0.jsonl").unlink()
    read.clear()
    done = scan(better, tmp_path / "run", *settings)
    assert ("b.jsonl" in read) == bool(settings)
    same_bytes(scan(better, tmp_path / "fresh", *settings), done)


def test_of_a_shard_of_many_parts_one_is_read(tmp_path, make_corpus, scan, read, monkeypatch):
    """A part is as many rows as fit its size, or one; the part of the row that goes is written."""
    monkeypatch.setattr(emit, "PART_BYTES", 70)
    texts = {"b.jsonl": [TEXTS[f"{n}.jsonl"][m] for n in "abcd" for m in range(3)] + ["x" * 99]}
    scan(make_corpus(tmp_path / "c", texts), tmp_path / "run")
    read.clear()
    taken = []

    def noted(file):
        taken.append(columns_of(file))
        return taken[-1]

    monkeypatch.setattr(RenewedFile, "user_columns", noted)
    (tmp_path / "c" / "0.jsonl").write_text(json.dumps({"text": texts["b.jsonl"][4]}) + "\n")
    done = scan(tmp_path / "c", tmp_path / "run")
    assert [one["text"].to_pylist() for one in taken] == [texts["b.jsonl"][4:6], []]
    (tmp_path / "c" / "0.jsonl").unlink()
    done = scan(tmp_path / "c", tmp_path / "run")
    assert read == ["0.jsonl"]
    same_bytes(scan(tmp_path / "c", tmp_path / "fresh"), done)
    groups = pq.read_metadata(done.folder / "kept" / "b.parquet")
    assert [groups.row_group(k).num_rows for k in range(7)] == [2, 2, 2, 2, 2, 2, 1]


def test_values_that_are_not_read_as_they_were_written_are_read_from_the_shard(
    tmp_path, scan, read
):
    """The order of a dictionary is not in Parquet, so a row with one is read where it came from."""
    (tmp_path / "c").mkdir()
    kinds = pa.DictionaryArray.from_arrays([2, 0, 1], ["x", "y", "z"])
    rows = pa.table({"text": TEXTS["b.jsonl"], "kind": kinds})
    pq.write_table(rows, tmp_path / "c" / "b.parquet")
    scan(tmp_path / "c", tmp_path / "run")
    pq.write_table(rows.slice(0, 1), tmp_path / "c" / "a.parquet")
    read.clear()
    done = scan(tmp_path / "c", tmp_path / "run")
    assert sorted(read) == ["a.parquet", "b.parquet"]
    kept = pq.ParquetFile(done.folder / "kept" / "b.parquet").read()["kind"]
    assert kept.to_pylist() == ["x", "y"]


@pytest.mark.parametrize("parts", [[2], [3, 1], [1, 1, 1]])
def test_parts_that_are_not_those_of_the_files_are_refused(again, parts):
    """The manifest is sealed, so this is a fault of ours; nothing is written for it."""

    def other(folder):
        with open_run(folder) as opened:
            for shard in opened.manifest["outputs"]["emit/g00000"]["facts"]["shards"]:
                shard["parts"] = parts
            opened.save()

    with pytest.raises(IntegrityError, match="damaged"):
        again(COPY, damage=other)


def test_a_damaged_file_does_not_stand(first, again):
    """It is written anew, with the bytes that it had."""

    def flipped(folder):
        path = folder / "kept" / "a.parquet"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    done = again(COPY, damage=flipped)
    assert "kept/a.parquet" in written(first, done)
    assert (done.folder / "kept/a.parquet").read_bytes() == (
        first.folder / "kept/a.parquet"
    ).read_bytes()


def test_a_column_that_another_shard_brings_writes_all(first, again):
    """The files read as one table, so each gets the new column."""
    done = again({**TEXTS, "e.jsonl": [{"text": "another text", "url": "x"}]})
    assert len(written(first, done)) == 10
    assert "url" in pq.read_schema(done.folder / "kept" / "a.parquet").names


def test_a_setting_of_the_files_writes_all(first, again):
    """What the footers name is what they were written with."""
    assert len(written(first, again(COPY, "mitigation.sink_id=true"))) == 10


class Killed(BaseException):
    """What stops a run in the middle."""


def test_a_kill_while_files_are_named_leaves_one_or_the_other(
    first, tmp_path, make_corpus, scan, monkeypatch
):
    """Run again it has the bytes of a fresh run, those of the shards that stood too."""
    folder = shutil.copytree(first.folder, tmp_path / "run")
    corpus = make_corpus(tmp_path / "c", COPY)

    def dying(finals):
        if any("kept" in final.parts for final in finals):
            named(finals[:1])
            raise Killed
        named(finals)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "named", dying)
        with pytest.raises(Killed):
            scan(corpus, folder)
    done, fresh = scan(corpus, folder), scan(corpus, tmp_path / "fresh")
    for path in [*fresh.folder.glob("kept/*.*"), *fresh.folder.glob("removed/*.*")]:
        assert path.read_bytes() == (done.folder / path.relative_to(fresh.folder)).read_bytes()


def last_unit_first(stage, function, works):
    """Run units in their order, and give those of emit in the reverse one."""
    done = list(one_by_one(stage, function, works))
    return reversed(done) if stage == "emit" else iter(done)


@pytest.mark.parametrize("mapper", [one_by_one, last_unit_first])
def test_a_unit_that_takes_a_name_leaves_the_others_files(first, tmp_path, make_corpus, mapper):
    """A shard comes back packed, in a group of its own: the group that had its name goes on."""
    shutil.copytree(first.folder, tmp_path / "run")
    corpus = make_corpus(tmp_path / "c", TEXTS)
    packed = corpus / "a.jsonl.gz"
    packed.write_bytes(gzip.compress((corpus / "a.jsonl").read_bytes()))
    (corpus / "a.jsonl").unlink()
    with run.session(tmp_path / "run", load_config(), mapper, corpus=[str(corpus)]) as session:
        run.scan(session)
        run.filter_rows(session)
    there = {path.name for path in (tmp_path / "run" / "kept").iterdir()}
    assert there == {"_SUCCESS", *(f"{n}.parquet" for n in "abcd")}
    assert check(tmp_path / "run", run.TABLES)[1] == []
    with run.session(tmp_path / "run", load_config(), idle) as session:
        assert all(session.current(stage) for stage in run.FILTER)
