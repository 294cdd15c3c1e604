import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import run as run_stages
from pipeline.engine import files, tables
from pipeline.engine import run_folder as store
from pipeline.engine.manifest import load_manifest
from pipeline.errors import IntegrityError, RunFolderError
from pipeline.sealed import sealed
from schemas.fields import field, table
from schemas.manifest import SCHEMA_VERSION

THINGS = table(
    "candidates",
    1,
    "one row per thing",
    [
        field("key", pa.uint64(), "its number", unit="things"),
        field("name", pa.string(), "its name", nullable=True),
    ],
)
ROWS = {"key": [1, 2], "name": ["a", None]}
ROOT = Path(__file__).resolve().parents[3]


def new_manifest():
    """Return the manifest of a run in which nothing was done."""
    return run_stages.new_manifest()


def put(folder, name="all", keys=(1, 2)):
    """Write a small table and return the record of its file."""
    with tables.write_table(folder, "candidates", name, THINGS) as out:
        out.write(pa.table({"key": list(keys), "name": ["a"] * len(keys)}))
    return out.record


def entry(record, fingerprint="f"):
    """Return a manifest entry of one file."""
    return {"fingerprint": fingerprint, "files": [vars(record)], "facts": {}}


def everything_in(folder):
    """Return the bytes of every file below a folder, by relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_finished_file_has_its_schema_and_its_record(tmp_path):
    """Names, types, nullability and metadata survive; the record tells rows, bytes and digest."""
    with tables.write_table(tmp_path, "candidates", "all", THINGS) as out:
        out.write(pa.table(ROWS))
    path = tmp_path / "candidates" / "all.parquet"
    assert vars(out.record) == {
        "table": "candidates",
        "path": "candidates/all.parquet",
        "rows": 2,
        "bytes": path.stat().st_size,
        "digest": files.digest_file(path),
    }
    found = tables.read_table([path], THINGS)
    assert found.schema.equals(THINGS, check_metadata=True)
    assert found.to_pydict() == ROWS
    assert pq.read_schema(path).field("key").metadata[b"unit"] == b"things"
    assert not pq.read_schema(path).field("key").nullable


def test_the_digest_is_blake2b_of_128_bits(tmp_path):
    """The digest of a known file is the published one."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.digest_file(tmp_path / "abc") == "cf4ab791c62b8d2b2109c90275287816"


def test_the_same_rows_give_the_same_bytes(tmp_path):
    """Two writings of one table agree bit for bit."""
    one, other = put(tmp_path / "1"), put(tmp_path / "2")
    assert one.digest == other.digest


def test_nothing_is_left_of_a_writing_that_failed(tmp_path):
    """An error inside the block leaves neither a file nor a temporary file."""
    with (
        pytest.raises(IntegrityError),
        tables.write_table(tmp_path, "candidates", "all", THINGS) as out,
    ):
        out.write(pa.table({"key": [None], "name": ["a"]}))
    assert everything_in(tmp_path) == {}


def test_a_file_in_the_middle_of_writing_is_not_there(tmp_path):
    """Until the block ends, the final name does not exist."""
    final = tmp_path / "candidates" / "all.parquet"
    with tables.write_table(tmp_path, "candidates", "all", THINGS) as out:
        out.write(pa.table(ROWS))
        assert not final.exists()
    assert final.exists()


def test_a_file_that_reads_back_short_is_refused(tmp_path):
    """Rows written and rows read back must agree before the file gets its name."""
    writer = tables.write_table(tmp_path, "candidates", "all", THINGS)
    writer.write(pa.table(ROWS))
    writer.rows += 1
    with pytest.raises(IntegrityError, match="reads back short"):
        writer.__exit__(None, None, None)
    assert not (tmp_path / "candidates" / "all.parquet").exists()


CRASH = """
import os, sys
from pathlib import Path
from pipeline.engine import files
from pipeline.engine import run_folder as store
from tests.unit.engine.test_run_folder import entry, new_manifest, put

folder, place = Path(sys.argv[1]), sys.argv[2]
with store.open_run(folder, create=new_manifest()) as run:
    run.commit("candidates/one", entry(put(folder, "one")))
    with files.holding(folder):
        record = put(folder, "two")
        if place == "written":
            os._exit(9)
        if place == "named":
            store.named = lambda finals: os._exit(9)
        if place == "recorded":
            run.save = lambda: os._exit(9)
        if place == "orphan":
            run.forget = run.forget(["candidates/one"]) or run.forget
            run._delete_unrecorded = lambda files: os._exit(9)
        run.commit("candidates/two", entry(record))
    os._exit(9)
"""


@pytest.mark.parametrize("place", ["written", "named", "recorded"])
def test_a_crash_before_the_manifest_entry_leaves_no_file(tmp_path, place):
    """A process that dies before a file has its name, or its entry, leaves what was there
    before.
    """
    run = tmp_path / "run"
    died = subprocess.run([sys.executable, "-c", CRASH, str(run), place], cwd=ROOT, check=False)
    assert died.returncode == 9
    left = [name for name in everything_in(run) if "two" in name]
    assert len(left) == 1
    assert left[0].endswith(".rote-tmp") == (place != "recorded")
    with store.open_run(run, tables=["candidates"]) as opened:
        assert opened.paths("candidates") == [run / "candidates/one.parquet"]
        assert opened.foreign == []
        assert sorted(everything_in(run)) == [".lock", "candidates/one.parquet", "manifest.json"]


def test_a_crash_after_the_entry_loses_nothing(tmp_path):
    """What was left to delete is deleted by the next opening; the new output is there."""
    died = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), "orphan"], cwd=ROOT, check=False
    )
    assert died.returncode == 9
    assert (tmp_path / store.CHANGES).exists()
    with store.open_run(tmp_path, tables=["candidates"]) as run:
        assert list(run.manifest["outputs"]) == ["candidates/two"]
        assert sorted(everything_in(tmp_path)) == [
            ".lock",
            "candidates/two.parquet",
            "manifest.json",
        ]


def test_the_former_version_stays_until_the_next_is_whole(tmp_path):
    """A unit that fails after it wrote some of its files changes none of those that are there."""
    with store.open_run(tmp_path, create=new_manifest()) as run:
        with files.holding(tmp_path):
            run.commit("candidates/all", entry(put(tmp_path, "all", (1, 2))))
        before = everything_in(tmp_path)
        with files.holding(tmp_path):
            record = put(tmp_path, "all", (1, 2, 3))
            assert everything_in(tmp_path).items() > before.items()
        assert everything_in(tmp_path) == before
        with files.holding(tmp_path):
            other = put(tmp_path, "other", (1, 2, 3))
            run.commit("candidates/all", entry(other))
        assert other.digest == record.digest
        assert not (tmp_path / "candidates/all.parquet").exists()
        assert (tmp_path / "candidates/other.parquet").exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_a_thread_that_outlives_its_command_names_no_file(tmp_path, stop):
    """Ctrl-C leaves a unit in the middle: what it finishes then is neither foreign nor in place."""
    with store.open_run(tmp_path, create=new_manifest()) as run:
        with files.holding(tmp_path):
            run.commit("candidates/all", entry(put(tmp_path, "all", (1, 2))))
        before = everything_in(tmp_path)
        with contextlib.suppress(stop), files.holding(tmp_path):
            raise stop
        for name in ("all", "other"):
            with pytest.raises(IntegrityError, match="had been stopped"):
                put(tmp_path, name, (1, 2, 3))
        assert everything_in(tmp_path) == before
        with files.holding(tmp_path):  # the same command again, in the same process
            run.commit("candidates/all", entry(put(tmp_path, "all", (1, 2, 3))))


def test_a_file_of_someone_else_is_never_written_over(tmp_path):
    """A file without an entry where one of ours is to be is named, and nothing changes."""
    with store.open_run(tmp_path, create=new_manifest()) as run:
        (tmp_path / "candidates").mkdir()
        (tmp_path / "candidates/all.parquet").write_text("mine")
        before = everything_in(tmp_path)
        with (
            pytest.raises(RunFolderError, match="did not write is in the way") as refused,
            files.holding(tmp_path),
        ):
            run.commit("candidates/all", entry(put(tmp_path)))
        assert refused.value.where == str(tmp_path / "candidates/all.parquet")
        assert everything_in(tmp_path) == before


def test_an_output_that_lost_a_file_to_another_is_gone(tmp_path):
    """Where a file changes hands between two outputs, the former one has no entry any more."""
    with store.open_run(tmp_path, create=new_manifest()) as run:
        for output, keys in (("candidates/one", (1,)), ("candidates/two", (2,))):
            with files.holding(tmp_path):
                run.commit(output, entry(put(tmp_path, "all", keys)))
        assert list(run.manifest["outputs"]) == ["candidates/two"]
        assert run.damaged("candidates/two") is None


def test_the_sweep_removes_what_a_kill_left_and_nothing_else(tmp_path):
    """Temporary files and spill folders go; known files and those of others stay, and are noted."""
    with store.open_run(tmp_path, create=new_manifest()) as run:
        run.commit("candidates/all", entry(put(tmp_path)))
        run.log.add("message", text="x")
        put(tmp_path, "mine")
        (tmp_path / "pairs").mkdir()
        (tmp_path / "pairs" / "all.parquet.1.rote-tmp").write_bytes(b"half")
        (tmp_path / "kept" / "deep").mkdir(parents=True)
        (tmp_path / "kept" / "deep" / "x.parquet").write_bytes(b"of a user")
        (tmp_path / "kept" / "empty").mkdir()
        (tmp_path / ".spill-abcdef_9" / "y").mkdir(parents=True)
        (tmp_path / ".spill-mine").mkdir()
        (tmp_path / "notes.txt").write_text("mine")
    with store.open_run(tmp_path, tables=["candidates", "pairs", "kept"]) as run:
        assert run.foreign == ["candidates/mine.parquet", "kept/deep/x.parquet"]
        assert sorted(everything_in(tmp_path)) == [
            ".lock",
            "candidates/all.parquet",
            "candidates/mine.parquet",
            "events/stages.jsonl",
            "kept/deep/x.parquet",
            "manifest.json",
            "notes.txt",
        ]
        assert (tmp_path / "kept" / "empty").is_dir()
        assert not (tmp_path / "pairs").exists()
        assert [path.name for path in tmp_path.glob(".spill-*")] == [".spill-mine"]


def test_an_output_is_fresh_only_with_its_fingerprint_and_its_files(tmp_path):
    """Another fingerprint, a missing file, another size, and under verify other bytes, are not
    fresh.
    """
    with store.open_run(tmp_path, create=new_manifest()) as run:
        assert not run.fresh("candidates/all", "f")
        record = put(tmp_path)
        run.commit("candidates/all", entry(record))
        assert run.fresh("candidates/all", "f", verify=True)
        assert not run.fresh("candidates/all", "g")
    path = tmp_path / record.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with store.open_run(tmp_path) as run:
        assert run.fresh("candidates/all", "f")
        assert not run.fresh("candidates/all", "f", verify=True)
        path.write_bytes(whole[:-1])
        assert not run.fresh("candidates/all", "f")
        path.unlink()
        assert not run.fresh("candidates/all", "f")


def test_forgetting_removes_the_entry_before_the_file(tmp_path):
    """The files of a forgotten output go, those of others stay, and the manifest on disk agrees."""
    with store.open_run(tmp_path, create=new_manifest()) as run:
        run.commit("candidates/one", entry(put(tmp_path, "one")))
        run.commit("candidates/two", entry(put(tmp_path, "two")))
        run.forget(["candidates/one", "never/was"])
        assert not (tmp_path / "candidates" / "one.parquet").exists()
        assert (tmp_path / "candidates" / "two.parquet").exists()
        assert list(load_manifest(tmp_path)["outputs"]) == ["candidates/two"]


HOLD = """
import sys
from pathlib import Path
from pipeline.engine.run_folder import open_run
from pipeline.sealed import sealed
with open_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_until_the_first_ends(tmp_path):
    """The lock names the process that holds it, and goes when that process is killed."""
    with store.open_run(tmp_path, create=new_manifest()):
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunFolderError, match="Another rote is writing") as refused:
            store.open_run(tmp_path).__enter__()
        assert refused.value.found == f"process {holder.pid}"
        holder.kill()
        holder.wait()
        with store.open_run(tmp_path) as run:
            assert run.manifest["outputs"] == {}


def test_two_writers_in_one_process_are_refused_too(tmp_path):
    """The lock belongs to an opening, not to a process."""
    with (
        store.open_run(tmp_path, create=new_manifest()),
        pytest.raises(RunFolderError, match="Another rote") as refused,
        store.open_run(tmp_path),
    ):
        pass
    assert refused.value.found == f"process {os.getpid()}"


@pytest.mark.parametrize(
    "files",
    [
        {"letters.txt": "x"},
        {"pairs/all.parquet": "x"},
        {"manifest.json": '{"name": "a browser extension", "version": "1"}'},
        {"manifest.json": "[1]"},
        {"manifest.json": "not json"},
    ],
)
def test_a_foreign_folder_is_refused_and_untouched(tmp_path, files):
    """Whatever the folder holds that is not a run, not a byte of it changes and none is added."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = everything_in(tmp_path)
    with pytest.raises(RunFolderError) as refused:
        store.open_run(tmp_path, create=new_manifest()).__enter__()
    assert str(tmp_path) in refused.value.where
    assert refused.value.fix
    assert everything_in(tmp_path) == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    """An output that is a file is refused by name."""
    (tmp_path / "out").write_text("x")
    with pytest.raises(RunFolderError, match="The output is a file"):
        store.open_run(tmp_path / "out", create=new_manifest()).__enter__()
    assert (tmp_path / "out").read_text() == "x"


def test_a_folder_that_is_no_run_is_not_opened_without_create(tmp_path):
    """Commands on a run folder need one that exists, and make none."""
    with pytest.raises(RunFolderError, match="not a run folder"):
        store.open_run(tmp_path / "absent").__enter__()
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("number", [0, SCHEMA_VERSION - 1, SCHEMA_VERSION + 1, None, "2"])
def test_another_version_is_refused_with_what_to_do(tmp_path, number):
    """A manifest of another schema version is refused, found and expected named."""
    (tmp_path / "manifest.json").write_text(json.dumps({**new_manifest(), "rote": number}))
    with pytest.raises(RunFolderError, match="another version") as refused:
        store.open_run(tmp_path).__enter__()
    assert refused.value.found == f"version {number}"
    assert refused.value.expected == f"version {SCHEMA_VERSION}"
    assert "rote run" in refused.value.fix


def test_a_folder_killed_while_it_was_made_is_taken_up(tmp_path):
    """A lock and a half-written manifest are what a killed start leaves; the next start uses the
    folder.
    """
    (tmp_path / ".lock").write_text("123")
    (tmp_path / "manifest.json.rote-tmp").write_text('{"ro')
    with store.open_run(tmp_path, create=new_manifest()) as run:
        assert run.manifest["outputs"] == {}
    assert load_manifest(tmp_path)["rote"] == SCHEMA_VERSION


def test_a_flipped_byte_is_found_and_the_file_named(tmp_path):
    """One changed bit in the data of a page stops the reading with the name of the file."""
    path = tmp_path / put(tmp_path, keys=range(3000)).path
    place = pq.read_metadata(path).row_group(0).column(0).data_page_offset + 200
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    with pytest.raises(IntegrityError, match="damaged or missing") as found:
        list(tables.read_batches(path))
    assert found.value.where == str(path)
    assert "--verify" in found.value.fix


@pytest.mark.parametrize("kept", [0, 3, 100])
def test_a_truncated_or_missing_file_is_found_and_named(tmp_path, kept):
    """A file cut short is named; so is one that is not there."""
    path = tmp_path / put(tmp_path).path
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IntegrityError) as cut:
        tables.read_table([path], THINGS)
    path.unlink()
    with pytest.raises(IntegrityError) as gone:
        tables.read_table([path], THINGS)
    assert cut.value.where == gone.value.where == str(path)


@pytest.mark.parametrize(
    "columns",
    [
        {"key": [1]},
        {"key": [-1], "name": ["a"]},
        {"key": [1.5], "name": ["a"]},
        {"key": [None], "name": ["a"]},
        {"key": ["x"], "name": ["a"]},
        {"key": [[1]], "name": ["a"]},
    ],
)
def test_a_table_that_is_not_its_schema_is_refused(columns):
    """A missing column, a lossy cast, a type without cast and a null are refused by table name."""
    with pytest.raises(IntegrityError) as refused:
        tables.conform(pa.table(columns), THINGS)
    assert refused.value.where.startswith("candidates")


def test_conforming_gives_order_types_and_nullability_back():
    """What an engine dropped is there again, and a column too many is gone."""
    loose = pa.table({"name": ["b"], "more": [0], "key": pa.array([7], pa.int64())})
    found = tables.conform(loose, THINGS)
    assert found.schema.equals(THINGS, check_metadata=True)
    assert found.to_pylist() == [{"key": 7, "name": "b"}]
    assert tables.conform(loose.to_batches()[0], THINGS).equals(found)


def test_reading_is_by_file_in_order_and_by_column(tmp_path):
    """Files come in the order given, columns as asked, and no file at all gives an empty table."""
    paths = [
        tmp_path / put(tmp_path, name, keys).path for name, keys in (("b", [3]), ("a", [1, 2]))
    ]
    assert tables.read_table(paths, THINGS, ["key"]).to_pydict() == {"key": [3, 1, 2]}
    assert tables.read_table([], THINGS).to_pydict() == {"key": [], "name": []}
    batches = [b["key"].to_pylist() for b in tables.read_batches(paths[1], ["key"], 1)]
    assert batches == [[1], [2]]


STORED = table(
    "stored",
    1,
    "one row per thing",
    [
        field("key", pa.uint64(), "a key", stored="delta"),
        field("hash", pa.large_binary(), "bytes that do not compress", stored="plain"),
        field("letters", pa.large_binary(), "bytes that do"),
        field("name", pa.string(), "a name"),
    ],
)


def test_columns_are_stored_as_their_schema_says(tmp_path):
    """Plain bytes are not compressed, growing numbers are deltas, all else is zstd."""
    rows = {
        "key": list(range(1000)),
        "hash": [os.urandom(8) for _ in range(1000)],
        "letters": [b"aaaaaaaa"] * 1000,
        "name": ["x", "y"] * 500,
    }
    with tables.write_table(tmp_path, "stored", "all", STORED) as out:
        out.write(pa.table(rows))
    path = tmp_path / "stored/all.parquet"
    found = tables.read_table([path], STORED)
    assert found.to_pydict() == rows
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(4)]
    assert [column.compression for column in columns] == ["ZSTD", "UNCOMPRESSED", "ZSTD", "ZSTD"]
    assert "DELTA_BINARY_PACKED" in columns[0].encodings
    assert columns[0].total_compressed_size < 500
    assert columns[1].total_compressed_size >= 8000


def test_groups_of_rows_are_read_alone(tmp_path):
    """Each write is a group of rows; one is read by its number, some columns of it."""
    with tables.write_table(tmp_path, "stored", "all", STORED) as out:
        for low in (0, 10, 20):
            values = [str(n).encode() for n in range(low, low + 10)]
            names = [f"n{n}" for n in range(low, low + 10)]
            keys = pa.array(range(low, low + 10), pa.uint64())
            out.write(pa.table([keys, values, values, names], STORED.names))
    path = tmp_path / "stored/all.parquet"
    assert tables.groups_of(path) == 3
    found = tables.read_group(path, 1, ["key", "name"])
    assert found.column_names == ["key", "name"]
    assert found["key"].to_pylist() == list(range(10, 20))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="damaged or missing"):
        tables.groups_of(path)
    with pytest.raises(IntegrityError, match="damaged or missing"):
        tables.read_group(path, 1, ["key"])


@pytest.mark.parametrize("sizes", [[], [0], [3], [4], [9], [1] * 13, [0, 7, 0, 1, 12], [4, 4]])
def test_batches_are_cut_evenly(sizes):
    """Whatever comes in, batches of four rows and a last one go out, in order."""
    ends = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    given = [
        pa.record_batch({"n": pa.array(range(low, low + size), pa.int64())})
        for low, size in zip(ends, sizes, strict=False)
    ]
    found = [batch["n"].to_pylist() for batch in tables.evenly(iter(given), 4)]
    assert [n for own in found for n in own] == list(range(ends[-1]))
    assert [len(own) for own in found[:-1]] == [4] * max(0, len(found) - 1)
    assert all(1 <= len(own) <= 4 for own in found)
    written: list[list[int]] = []
    own = SimpleNamespace(write=lambda batch: written.append(batch["n"].to_pylist()))
    out = tables.EvenWriter(cast(tables.TableWriter, own), 4)
    for batch in given:
        out.write(batch)
        assert all(len(row) == 4 for row in written)
    out.finish()
    assert written == found


def test_what_a_killed_stage_had_put_aside_is_swept(tmp_path):
    """Folders of spilled arrays and queries are gone when the run folder is opened again."""
    with store.open_run(tmp_path, create=new_manifest()):
        pass
    (tmp_path / ".spill-abcdefg9").mkdir()
    (tmp_path / ".spill-abcdefg9" / "arrays").write_bytes(b"1234")
    (tmp_path / "spill-of-mine").mkdir()
    with store.open_run(tmp_path):
        assert not (tmp_path / ".spill-abcdefg9").exists()
        assert (tmp_path / "spill-of-mine").exists()


def test_a_plain_file_is_written_whole_and_recorded(tmp_path):
    """A file that is no table counts no rows and has its digest."""
    record = files.write_file(tmp_path, "report", "report.json", b"abc")
    assert (tmp_path / record.path).read_bytes() == b"abc"
    assert (record.path, record.rows, record.bytes) == ("report/report.json", 0, 3)
    assert record.digest == "cf4ab791c62b8d2b2109c90275287816"
    assert list((tmp_path / "report").iterdir()) == [tmp_path / "report" / "report.json"]


def test_the_manifest_is_sorted_whatever_the_order_of_completion(tmp_path):
    """Outputs are written in order of name, so that two runs give one manifest."""
    manifests = []
    for order in (("b/all", "a/all"), ("a/all", "b/all")):
        folder = tmp_path / order[0][0]
        with store.open_run(folder, create=new_manifest()) as run:
            for output in order:
                run.commit(output, {"fingerprint": "f", "facts": {}, "files": []})
        manifests.append((folder / "manifest.json").read_bytes())
    assert manifests[0] == manifests[1]


OUTSIDE = {
    "above": "../precious.txt",
    "above-by-a-way": "kept/../../precious.txt",
    "absolute": "/etc/passwd",
    "nothing": "",
    "null": "kept/\0",
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_manifest_that_names_a_file_outside_is_refused(tmp_path, name):
    """Nothing outside the folder is read or deleted because a manifest says so."""
    run = tmp_path / "run"
    (tmp_path / "precious.txt").write_text("precious")
    with store.open_run(run, create=new_manifest()) as opened:
        record = vars(put(run)) | {"path": OUTSIDE[name]}
        opened.manifest["outputs"]["candidates/all"] = {
            "fingerprint": "f",
            "facts": {},
            "files": [record],
        }
        opened.save()
    before = everything_in(tmp_path)
    for opening in (store.read_run, lambda folder: store.open_run(folder).__enter__()):
        with pytest.raises(RunFolderError, match="names a file outside of it") as refused:
            opening(run)
        assert refused.value.where == str(run / "manifest.json")
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_link_in_place_of_ours_is_not_followed(tmp_path, place):
    """A table's folder or file that is a symbolic link is refused by reader and writer."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    with store.open_run(run, create=new_manifest()) as opened:
        opened.commit("candidates/all", entry(put(run)))
    moved = run / "candidates" / ("all.parquet" if place == "file" else "")
    moved.rename(elsewhere)
    moved.symlink_to(elsewhere)
    before = everything_in(tmp_path)
    for opening in (store.read_run, lambda folder: store.open_run(folder).__enter__()):
        with pytest.raises(RunFolderError, match="outside of it") as refused:
            opening(run)
        assert "symbolic link" in refused.value.found
    with pytest.raises(RunFolderError, match="outside of it"):
        put(run)
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("name", [".lock", "events", ".changes", "kept"])
def test_a_link_where_we_write_is_refused(tmp_path, name):
    """The lock, the log and the folders of a run that are links do not lead us to other files."""
    run, target = tmp_path / "run", tmp_path / "target"
    with store.open_run(run, create=new_manifest()):
        pass
    target.write_text("precious")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(target)
    with pytest.raises(RunFolderError, match="outside of it"):
        store.open_run(run, tables=["kept"]).__enter__()
    assert target.read_text() == "precious"


def test_a_temporary_manifest_that_is_a_link_is_not_written_through(tmp_path):
    """A link under the name that the next manifest has while it is written is only removed."""
    with store.open_run(tmp_path / "run", create=new_manifest()) as run:
        (tmp_path / "precious").write_text("precious")
        (run.folder / "manifest.json.rote-tmp").symlink_to(tmp_path / "precious")
        run.save()
    assert (tmp_path / "precious").read_text() == "precious"
    assert load_manifest(tmp_path / "run")["rote"] == SCHEMA_VERSION


def test_a_note_of_changes_names_nothing_outside(tmp_path):
    """A forged note is refused; one that is not as written counts as never finished."""
    run = tmp_path / "run"
    with store.open_run(run, create=new_manifest()):
        pass
    (tmp_path / "precious.txt").write_text("precious")
    note = run / store.CHANGES
    note.write_bytes(sealed({"files": ["../precious.txt"]}))
    with pytest.raises(RunFolderError, match="outside of it"):
        store.open_run(run).__enter__()
    (run / "kept").mkdir()
    (run / "kept" / "b.parquet").write_text("mine")
    note.write_bytes(sealed({"files": ["kept/a.parquet"]}).replace(b"a.parquet", b"b.parquet"))
    with store.open_run(run, tables=["kept"]) as opened:
        assert opened.foreign == ["kept/b.parquet"]
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert not note.exists()
