import datetime
import decimal
import json
import os
import uuid
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_config
from pipeline.corpus import Shard, read_documents
from pipeline.engine.run_folder import digest_of
from pipeline.engine.shards import output_names
from pipeline.errors import InputError, IntegrityError, SchemaMismatch
from pipeline.filter import decisions, documents
from pipeline.filter.emit import emit
from pipeline.filter.emit.footer import footer
from pipeline.filter.emit.hub_features import with_rote
from schemas.filter.emitted import KEPT_STRUCT, REMOVED_STRUCT

NESTED = pa.struct([("a", pa.list_(pa.int16())), ("b", pa.map_(pa.string(), pa.float32()))])
TEXTS = [
    "the first text of the corpus",
    "The first text, of the corpus!",
    "another text that nothing is like",
    None,
    "the first text of the corpus",
    "",
    "漢字 and the rest of a text",
]
HUB = {"info": {"description": "d", "features": {"text": {"dtype": "string", "_type": "Value"}}}}
DAY = datetime.datetime(2024, 2, 29, 1, 2, 3, 4, datetime.UTC)


def rich():
    """Return rows of many types around TEXTS: nested, dictionary, extension, time zone, dots in a
    name.
    """
    rows = range(len(TEXTS))
    columns = {
        "z": pa.array([n / 3 for n in rows]),
        "text": pa.array(TEXTS),
        "nested": pa.array(
            [{"a": [n, None], "b": [("k", 0.5)]} if n % 3 else None for n in rows], NESTED
        ),
        "money": pa.array([decimal.Decimal(n).scaleb(-2) for n in rows], pa.decimal128(9, 2)),
        "when": pa.array([DAY] * len(TEXTS), pa.timestamp("us", tz="Europe/Berlin")),
        "kind": pa.array([f"s{n % 2}" for n in rows]).dictionary_encode(),
        "a.b": pa.array([b"\xff"] * len(TEXTS), pa.large_binary()),
        "key": pa.array([uuid.UUID(int=n).bytes for n in rows], pa.uuid()),
        "list": pa.array([[] if n % 2 else None for n in rows], pa.large_list(pa.null())),
        "nothing": pa.nulls(len(TEXTS)),
    }
    table = pa.table(columns)
    fields = [field.with_nullable(field.name != "z") for field in table.schema]
    fields[0] = fields[0].with_metadata({"unit": "m"})
    metadata = {"mine": "yes", "huggingface": json.dumps(HUB)}
    return table.cast(pa.schema(fields, metadata))


def shards(*names):
    """Return shards of those names."""
    return [Shard(n, 0, name, f"/{name}", "x", 1, 1, "") for n, name in enumerate(names)]


@pytest.fixture(scope="module")
def emitted(tmp_path_factory, make_corpus, scan):
    """Scan and filter the rich table; give the run."""
    folder = tmp_path_factory.mktemp("rich")
    corpus = make_corpus(folder / "c", {"in/x.parquet": rich()})
    return scan(corpus, folder / "run", "input.text=['text']")


def test_rows_are_kept_removed_or_rejected(emitted):
    """Each of the seven rows is in exactly one place, in the order of the corpus."""
    rows = {
        name: [row["row_key"] for row in emitted.table(name)["rote"].to_pylist()]
        for name in ("kept", "removed")
    }
    assert rows == {"kept": [1, 2, 6], "removed": [0, 4]}
    assert emitted.table("rejected")["row"].to_pylist() == [3, 5]


@pytest.mark.parametrize("name", ["kept", "removed"])
def test_the_users_columns_come_through_unchanged(emitted, name):
    """Values, types, order, nullability and metadata of all columns are those of the corpus."""
    found = pq.read_table(emitted.folder / name / "in/x.parquet")
    own = found.drop_columns(["rote"])
    rows = [key & (2**40 - 1) for key in (r["row_key"] for r in found["rote"].to_pylist())]
    expected = pq.read_table(emitted.manifest["corpus"]["shards"][0]["path"]).take(rows)
    assert own.schema.equals(expected.schema)
    assert own.to_pylist() == expected.to_pylist()
    assert [field.nullable for field in own.schema] == [field.nullable for field in expected.schema]
    assert own.schema.field("z").metadata[b"unit"] == b"m"
    assert own.schema.field("kind").type == pa.dictionary(pa.int32(), pa.string())


def test_metadata_stays_with_the_new_column_described(emitted):
    """What Hugging Face keeps of the columns stays as it was, and tells the column of rote too."""
    for name in ("kept", "removed"):
        metadata = pq.read_schema(emitted.folder / name / "in/x.parquet").metadata
        assert metadata[b"mine"] == b"yes"
        about = json.loads(metadata[b"huggingface"])["info"]
        assert about["description"] == "d"
        added = about["features"].pop("rote")
        assert about["features"] == HUB["info"]["features"]
        assert added["row_key"] == {"dtype": "uint64", "_type": "Value"}
        assert added["risk"]["dtype"] == "float64"


def test_footers_tell_version_and_settings_and_nothing_of_a_scan(emitted):
    """The same settings give the same digest; the name of the run folder is not in there."""
    config = load_config(base=emitted.manifest["config"])
    for name in ("kept", "removed"):
        for path in (emitted.folder / name).rglob("*.parquet"):
            if path.parent.name != "spans":
                metadata = pq.read_schema(path).metadata
                assert metadata[b"rote.version"] == version("rote").encode()
                assert metadata[b"rote.settings"] == digest_of(emit.settings(config)).encode()
    other = config.model_copy(update={"near": config.near.model_copy(update={"threshold": 0.9})})
    assert (
        footer(emit.settings(other))[b"rote.settings"]
        != footer(emit.settings(config))[b"rote.settings"]
    )


@pytest.mark.parametrize("about", [b"", b"[]", b'{"info": null}', b'{"info": {"features": 1}}'])
def test_a_description_that_is_none_is_left_out(about):
    """Its reader would fail on it; everything else stays."""
    assert with_rote({b"huggingface": about, b"a": b"b"}, "rote", pa.int64()) == {b"a": b"b"}
    assert with_rote(None, "rote", pa.int64()) == {}


def test_kept_rows_carry_their_counts(emitted):
    """The struct has the declared fields; a row that was not scored has null risk."""
    schema = pq.read_schema(emitted.folder / "kept/in/x.parquet")
    assert schema.field("rote").type == KEPT_STRUCT
    assert not schema.field("rote").nullable
    kept = {row["row_key"]: row for row in emitted.table("kept")["rote"].to_pylist()}
    assert kept[2] == {
        "row_key": 2,
        "exact_count": 1,
        "near_count": 1,
        "effective_count": 1.0,
        "near_capped": False,
        "max_window_count": 0,
        "repeated_words": 0,
        "risk": None,
        "risk_low": None,
        "risk_high": None,
        "extrapolated": None,
    }
    assert kept[1]["near_count"] == 3
    assert kept[1]["effective_count"] == pytest.approx(1 + 2 * 0.893151)


def test_removed_rows_carry_their_proof(emitted):
    """Rule, reason, keeper, Jaccard and threshold stand next to the counts."""
    schema = pq.read_schema(emitted.folder / "removed/in/x.parquet")
    assert schema.field("rote").type == REMOVED_STRUCT
    first, second = emitted.table("removed")["rote"].to_pylist()
    names = ("row_key", "rule", "reason", "keeper", "keeper_doc_id", "jaccard", "threshold")
    # the longer text with its punctuation stands, so both copies of the other are near to it
    proof = ("drop-copies", "near_copy", 1, "in/x.parquet#1", 1.0, 0.8)
    assert tuple(first[name] for name in names) == (0, *proof)
    assert tuple(second[name] for name in names) == (4, *proof)
    assert (first["exact_count"], first["near_count"]) == (2, 3)


def test_every_format_gives_parquet_of_its_own_path(tmp_path, make_corpus, scan):
    """JSON Lines comes out as Parquet under the same path; a shard that loses all its rows is
    there, empty.
    """
    corpus = make_corpus(
        tmp_path / "c",
        {
            "a.jsonl": ["same text"],
            "b/c.parquet": ["same text", "other"],
            "b/d.jsonl": ["same text"],
        },
    )
    done = scan(corpus, tmp_path / "run")
    names = sorted(
        str(p.relative_to(done.folder)) for p in (done.folder / "kept").rglob("*.parquet")
    )
    assert names == ["kept/a.parquet", "kept/b/c.parquet", "kept/b/d.parquet"]
    assert [pq.read_metadata(done.folder / name).num_rows for name in names] == [1, 1, 0]
    assert pq.read_table(done.folder / "kept/b/d.parquet").column_names == ["text", "rote"]


NARROW = pa.dictionary(pa.int8(), pa.string())


def test_a_dictionary_holds_more_values_than_a_batch_of_it_had(tmp_path, scan):
    """Those of several batches, and texts that were cut, are more than 8 bits number."""
    shared = " ".join(f"s{n}" for n in range(8))
    texts = [f"{shared} {' '.join(f'u{n}x{m}' for m in range(8))}" for n in range(100)]
    (tmp_path / "c").mkdir()
    schema = pa.schema([("text", NARROW), ("kind", NARROW)])
    with pa.ipc.new_stream(tmp_path / "c" / "a.arrow", schema) as out:
        for part in "ab":
            kinds = [f"{part}{n}" for n in range(100)]
            columns = [pa.array(own).dictionary_encode().cast(NARROW) for own in (texts, kinds)]
            out.write_batch(pa.record_batch(columns, schema=schema))
    rules = ("policy.rules=['cut-spans']", "policy.cut_minimum=3", "window.words=6")
    done = scan(tmp_path / "c", tmp_path / "run", *rules)
    assert done.table("kept")["kind"].to_pylist() == [f"{p}{n}" for p in "ab" for n in range(100)]
    assert len(set(done.table("kept")["text"].to_pylist())) == 199


def test_output_names_lose_their_suffix_and_keep_it_on_a_clash():
    """x.jsonl.gz becomes x; of two that would become the same, both keep their full names."""
    assert output_names(shards("a/x.jsonl.gz", "a/y.parquet", "b/x.csv", "c.d.txt")) == {
        0: "a/x",
        1: "a/y",
        2: "b/x",
        3: "c.d",
    }
    assert output_names(shards("x.csv", "x.jsonl", "y.csv")) == {
        0: "x.csv",
        1: "x.jsonl",
        2: "y",
    }


def test_a_full_name_that_clashes_with_a_short_one_gives_way():
    """x.jsonl.parquet would be `x.jsonl`, which x.jsonl needs next to x.csv: no two shards share a
    file.
    """
    found = output_names(shards("x.csv", "x.jsonl", "x.jsonl.parquet"))
    assert found == {0: "x.csv", 1: "x.jsonl", 2: "x.jsonl.parquet"}


def test_clashing_names_lose_no_row(tmp_path, make_corpus, scan):
    """Shards whose outputs would have one name are all written."""
    files = {"x.parquet": ["one"], "x.jsonl": ["two"], "x.jsonl.parquet": ["three"]}
    done = scan(make_corpus(tmp_path / "c", files), tmp_path / "run")
    paths = sorted((done.folder / "kept").rglob("*.parquet"))
    assert sorted(pq.read_table(path)["text"][0].as_py() for path in paths) == [
        "one",
        "three",
        "two",
    ]
    assert len(paths) == 3


def test_a_column_of_our_name_is_refused_unless_ours_is_renamed(tmp_path, make_corpus, scan):
    """A user's column `rote` stops the run before the scan; with emit.column both are there."""
    rows = [{"text": "a", "rote": "mine"}]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    with pytest.raises(SchemaMismatch, match="name that rote adds") as refused:
        scan(corpus, tmp_path / "run")
    assert refused.value.where == "a.jsonl"
    assert "emit.column" in refused.value.fix
    assert not list((tmp_path / "run").glob("**/*.parquet"))
    done = scan(corpus, tmp_path / "run", "emit.column=rote2")
    [row] = done.table("kept").to_pylist()
    assert row["rote"] == "mine"
    assert row["rote2"]["row_key"] == 0


@pytest.mark.parametrize("fault", ["lost", "added"])
def test_rows_that_are_not_those_scanned_stop_the_writing(
    tmp_path, make_corpus, scan, monkeypatch, fault
):
    """A reader that gives other rows than at the scan is found out; nothing counts as written."""

    def read(shard, config, **options):
        for batch in read_documents(shard, config, **options):
            fields = vars(batch)
            if fault == "lost":
                names = ("rows", "texts", "ids", "sources", "priorities", "columns")
                yield type(batch)(**{**fields, **{n: fields[n][:-1] for n in names}})
            else:
                yield type(batch)(**{**fields, "rows": np.asarray(batch.rows) + 1})

    monkeypatch.setattr(emit, "read_documents", read)
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a", "b"]})
    with pytest.raises(IntegrityError, match="were scanned") as stopped:
        scan(corpus, tmp_path / "run")
    assert stopped.value.where == "a.jsonl"


def test_a_shard_without_rows_is_written_without_rows(tmp_path, make_corpus, scan):
    """An empty file among others is no error; it comes out empty."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [], "b.jsonl": ["a b c"]})
    done = scan(corpus, tmp_path / "run")
    counts = {
        path.name: pq.read_metadata(path).num_rows
        for path in (done.folder / "kept").glob("*.parquet")
    }
    assert counts == {"a.parquet": 0, "b.parquet": 1}


def test_rows_that_are_not_written_are_missed(tmp_path, make_corpus, scan, monkeypatch):
    """Rows in must be rows out: a batch that is dropped on the way stops the stage."""
    monkeypatch.setattr(emit._ShardWriter, "_split", lambda *_: None)
    with pytest.raises(IntegrityError, match="rows were lost") as stopped:
        scan(make_corpus(tmp_path / "c", {"a.jsonl": ["a", "b"]}), tmp_path / "run")
    assert stopped.value.found == "2 read, 0 written"


def test_a_shard_reads_few_rows_of_others(tmp_path, make_corpus, scan, monkeypatch):
    """Documents and decisions are in groups of few rows, of which a shard reads its own; the bytes
    of kept/ and removed/ are those of one large group.
    """
    texts = [f"text number {n} of its own" for n in range(12)]
    corpus = make_corpus(tmp_path / "c", {f"{n}.jsonl": [*texts[3 * n :][:3]] for n in range(4)})
    whole = scan(corpus, tmp_path / "whole")
    for module in (documents, decisions):
        monkeypatch.setattr(module, "ROWS_OF_SHARDS", 3)
    read = []
    honest = pq.ParquetFile.read_row_group

    def noted(file, group, *args, **options):
        read.append((file.metadata.num_rows, group))
        return honest(file, group, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    parted = scan(corpus, tmp_path / "parted")
    own = [group for rows, group in read if rows == 12]
    assert sorted(own) == sorted([0, 1, 2, 3] * 2)
    for path in [*whole.folder.rglob("kept/*.parquet"), *whole.folder.rglob("removed/*.parquet")]:
        assert path.read_bytes() == (parted.folder / path.relative_to(whole.folder)).read_bytes()


def test_a_damaged_table_of_documents_is_named(tmp_path, make_corpus, scan):
    """A flipped bit in `documents` is found when rows are written out, not written out."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [f"text {n}" for n in range(500)]})
    done = scan(corpus, tmp_path / "run")
    path = done.folder / "documents/all.parquet"
    columns = pq.read_schema(path).names
    place = pq.read_metadata(path).row_group(0).column(columns.index("effective_count"))
    at = place.data_page_offset + place.total_compressed_size - 3
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged") as found:
        scan(corpus, tmp_path / "run", "emit.column=other")
    assert found.value.where == str(path)
    again = scan(corpus, tmp_path / "run", verify=True)
    assert again.performed == ["documents/all"]  # what was written before it stayed


def test_a_changed_text_never_gets_the_counts_of_another(tmp_path, make_corpus, scan):
    """Each text is hashed when it is written, whatever size and time of its file say."""
    texts = [f"text {n} of the corpus" for n in range(9_000)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    scan(corpus, tmp_path / "run", filtered=False)
    path = corpus / "a.jsonl"
    before = path.stat()
    path.write_text(path.read_text().replace("text 7 ", "test 7 ", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="not the one that was scanned") as refused:
        scan(corpus, tmp_path / "run")
    assert refused.value.where == "a.jsonl, row 7"
    assert "--verify" in refused.value.fix
    assert not list((tmp_path / "run" / "kept").rglob("*"))
