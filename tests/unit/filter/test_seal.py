"""What others find in kept/: whole or not, how many rows, in formats that they read."""

import hashlib
import json

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.run_folder import open_run
from pipeline.filter.emit.json_shards import JsonWriter

TEXTS = [f"text number {n} of some" for n in range(30)]


@pytest.fixture(scope="module")
def done(tmp_path_factory, make_corpus, scan):
    """Give a filtered run of two shards, one in a folder."""
    folder = tmp_path_factory.mktemp("seal")
    files = {"a.jsonl": TEXTS, "deep/b.parquet": [*TEXTS[:3], "one more"]}
    return scan(make_corpus(folder / "c", files), folder / "run")


def test_the_manifest_has_rows_and_digests_of_every_file(done):
    """lists/kept.json is true of the files in kept/, and _SUCCESS is there."""
    kept = done.folder / "kept"
    told = json.loads((done.folder / "lists" / "kept.json").read_bytes())
    assert told["rows"] == 31
    assert [file["path"] for file in told["files"]] == ["a.parquet", "deep/b.parquet"]
    for file in told["files"]:
        data = (kept / file["path"]).read_bytes()
        assert file["digest"] == hashlib.blake2b(data, digest_size=16).hexdigest()
        assert (file["rows"], file["bytes"]) == (
            pq.read_metadata(kept / file["path"]).num_rows,
            len(data),
        )
    assert (kept / "_SUCCESS").read_bytes() == b""


def test_pyarrow_polars_and_duckdb_read_kept_as_it_is(done):
    """31 rows by each; PyArrow and its kind leave names with _ alone."""
    kept = done.folder / "kept"
    assert ds.dataset(kept, format="parquet").count_rows() == 31
    assert pl.read_parquet(kept / "**/*.parquet").height == 31
    assert pl.scan_parquet(kept).collect().height == 31  # every file counts, but empty ones
    query = "select count(*), count(rote.exact_count) from read_parquet(?)"
    assert duckdb.execute(query, [f"{kept}/**/*.parquet"]).fetchone() == (31, 31)


def test_datasets_reads_kept_as_it_is(done, tmp_path):
    """load_dataset("parquet") gives the same rows, where it is installed."""
    datasets = pytest.importorskip("datasets")
    files = str(done.folder / "kept/**/*.parquet")
    rows = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))["train"]
    assert rows.num_rows == 31


class Stopping:
    """Runs units and stops in a stage, before its first unit is recorded or after it."""

    def __init__(self, stage, units):
        self.stage, self.units = stage, units

    def __call__(self, stage, function, works):
        """Yield receipts, or stop."""
        for place, work in enumerate(works):
            if stage == self.stage and place == self.units:
                raise KeyboardInterrupt
            yield place, function(work)
        if stage == self.stage:
            raise KeyboardInterrupt


def stopped(folder, units):
    """Filter a run at another threshold, stopped in the second pass after so many units."""
    config = load_config(settings=["near.threshold=0.9"])
    stopping = Stopping("emit", units)
    with pytest.raises(KeyboardInterrupt), run.session(folder, config, stopping) as session:
        run.filter_rows(session)


def test_success_is_gone_while_kept_is_not_whole(done, tmp_path, scan):
    """A filter that stops before it is sealed leaves no _SUCCESS, not even a killed one."""
    corpus = done.manifest["corpus"]["roots"][0]
    again = scan(corpus, tmp_path / "run")
    mark = again.folder / "kept/_SUCCESS"
    stopped(again.folder, 1)
    assert not mark.exists()
    mark.touch()  # as if a kill or a user had left it
    with open_run(again.folder, tables=run.TABLES):
        assert not mark.exists()
    config = load_config(settings=["near.threshold=0.9"])
    with run.session(again.folder, config, LocalMapper(2)) as session:
        run.filter_rows(session)
    assert mark.exists()


def test_a_filter_that_stops_before_it_writes_leaves_kept_as_it_was(done, tmp_path, scan):
    """Until the first shard changes, kept/ is the last finished version and says so."""
    corpus = done.manifest["corpus"]["roots"][0]
    again = scan(corpus, tmp_path / "run")
    kept = {path: path.read_bytes() for path in (again.folder / "kept").rglob("*.*")}
    stopped(again.folder, 0)
    assert (again.folder / "kept/_SUCCESS").exists()
    assert {path: path.read_bytes() for path in (again.folder / "kept").rglob("*.*")} == kept


def test_row_groups_have_at_most_the_rows_of_the_shards_own(tmp_path, scan):
    """A Parquet shard of groups of 200 rows comes out in groups of at most 200."""
    folder = tmp_path / "c"
    folder.mkdir()
    rows = pa.table({"text": [f"text {n}" for n in range(1000)]})
    pq.write_table(rows, folder / "a.parquet", row_group_size=200)
    done = scan(folder, tmp_path / "run")
    facts = pq.read_metadata(done.folder / "kept/a.parquet")
    assert [facts.row_group(k).num_rows for k in range(facts.num_row_groups)] == [200] * 5


def test_json_lines_on_request(done, tmp_path, scan):
    """emit.format = jsonl writes the same rows as JSON, keys of 64 bits as strings."""
    corpus = done.manifest["corpus"]["roots"][0]
    again = scan(corpus, tmp_path / "run", "emit.format=jsonl")
    lines = (again.folder / "kept/deep/b.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["one more"]
    removed = (again.folder / "removed/deep/b.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["rote"]["reason"] for line in removed] == ["exact_copy"] * 3
    back = scan(corpus, tmp_path / "run")
    assert not list((back.folder / "kept").rglob("*.jsonl"))


def test_json_has_no_nan_and_no_number_that_readers_round(tmp_path):
    """NaN is null, bytes are base64, a whole number beyond 2^53 is a string."""
    schema = pa.schema([("a", pa.float64()), ("b", pa.binary()), ("c", pa.uint64())])
    with JsonWriter(tmp_path, "kept", "x", schema) as out:
        out.write(pa.record_batch([[float("nan")], [b"\xff"], [2**60]], schema=schema))
    row = json.loads((tmp_path / "kept/x.jsonl").read_text())
    assert row == {"a": None, "b": "/w==", "c": str(2**60)}
    assert out.record.rows == 1
