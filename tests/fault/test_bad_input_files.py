"""Files that cannot be read: each is named in one clear message, and no text of it is quoted."""

import contextlib
import errno
import gzip
import json
import os
import pickle
import random
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import Config, InputConfig
from pipeline.corpus import (
    check_shard,
    content_digest,
    find_shards,
    identify,
    read_documents,
    shard_schema,
)
from pipeline.corpus.files import reading
from pipeline.errors import (
    CorruptFile,
    InputError,
    PipelineError,
    SchemaMismatch,
    TransientIOError,
)
from pipeline.run import new_manifest
from pipeline.scan.inventory import inventory

SECRET = "swordfish"  # noqa: S105 - document text that no message may show
TABLE = pa.table(
    {
        "text": [f"{SECRET} {n} " * 20 for n in range(500)],
        "id": [f"{SECRET}{n}" for n in range(500)],
    }
)


def parquet(path, **options):
    """Write a Parquet file of several row groups."""
    pq.write_table(TABLE, path, row_group_size=100, compression="none", **options)


def arrow(path, new=pa.ipc.new_file):
    """Write an Arrow file or stream of several batches."""
    with new(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=100)


def json_lines(path):
    """Write packed JSON Lines."""
    data = b"".join(b'{"text": "%s %d"}\n' % (SECRET.encode(), n) for n in range(50_000))
    with pa.CompressedOutputStream(
        str(path), {".gz": "gzip", ".zst": "zstd"}[path.suffix]
    ) as stream:
        stream.write(data)


def open_shard(path):
    """Return the one shard of a path."""
    return find_shards([str(path)])[0][0]


def check(path):
    """Check a shard the way a run does before any stage."""
    check_shard(open_shard(path), InputConfig())


def read(path, **options):
    """Read a shard to its end; return the number of documents."""
    return sum(
        len(batch.rows) for batch in read_documents(open_shard(path), InputConfig(), **options)
    )


def refused(kind, action, path):
    """Return the error that an action raises: of that kind, naming the file, quoting no text."""
    with pytest.raises(kind) as caught:
        action(path)
    error = caught.value
    assert str(path) in error.where
    assert SECRET not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301
    return error


def test_a_truncated_parquet_file_is_found_by_its_footer(tmp_path):
    """Without its footer a Parquet file is refused before anything is read."""
    path = tmp_path / "x.parquet"
    parquet(path)
    data = path.read_bytes()
    for length in (0, 3, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        error = refused(CorruptFile, check, path)
        assert error.what == "A file cannot be read."
        assert error.found
        refused(CorruptFile, read, path)


def test_a_file_that_is_something_else_is_refused(tmp_path):
    """The name says one format and the first bytes another."""
    as_parquet, as_arrow = tmp_path / "t.parquet", tmp_path / "t.arrow"
    parquet(as_parquet)
    arrow(as_arrow)
    kinds = {
        "p.parquet": b"text,id\na,b\n" * 10,
        "a.arrow": as_parquet.read_bytes(),
        "b.arrow": b"FEA1" + b"\0" * 100,
        "c.arrow": b"",
        "d.arrow": b"text,id\na,b\n" * 10,
        "e.arrow": b"ARROW1\0\0",
        "j.jsonl": gzip.compress(b'{"text": "a"}\n'),
        "k.csv": as_parquet.read_bytes(),
        "l.jsonl": as_arrow.read_bytes(),
        "m.jsonl.gz": b'{"text": "a"}\n',
        "n.jsonl.gz": b"",
        "o.csv.zst": gzip.compress(b"text\na\n"),
        "q.jsonl": '{"text": "a"}\n'.encode("utf-16"),
        "r.jsonl.gz": gzip.compress('{"text": "a"}\n'.encode("utf-16")),
        "s.csv": "text,id\na,b\n".encode("utf-16"),
        "t.jsonl": b'{"text": "a"}\r{"text": "b"}\r',
    }
    for name, data in kinds.items():
        (tmp_path / name).write_bytes(data)
        refused(CorruptFile, check, tmp_path / name)


def test_a_flipped_byte_in_a_checksummed_page_is_found(tmp_path):
    """Page checksums are verified, so changed text does not pass as text."""
    path = tmp_path / "x.parquet"
    parquet(path, write_page_checksum=True, use_dictionary=False)
    data = bytearray(path.read_bytes())
    place = data.index(f"{SECRET} 450".encode())
    data[place] ^= 1
    path.write_bytes(data)
    check(path)
    error = refused(CorruptFile, lambda path: read(path, batch_bytes=1000), path)
    assert "CRC" in error.found


def test_damage_in_the_middle_never_passes_in_silence_or_crashes(tmp_path):
    """With checksums, a changed byte is either outside all data or raises a named error."""
    path = tmp_path / "x.parquet"
    parquet(path, write_page_checksum=True)
    whole = path.read_bytes()
    expected = list(read_documents(open_shard(path), InputConfig(), everything=True))
    draw = random.Random(7)  # noqa: S311 - chosen bytes
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        data[draw.randrange(4, len(data) - 8)] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        try:
            found = list(read_documents(open_shard(path), InputConfig(), everything=True))
        except (CorruptFile, SchemaMismatch):
            outcomes.add("refused")
        else:
            outcomes.add("same" if found[0].texts.equals(expected[0].texts) else "changed")
    assert outcomes <= {"refused", "same"}
    assert "refused" in outcomes


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_damaged_arrow_files_raise_named_errors(tmp_path, new):
    """Truncation and changed bytes end in an error or in rows, never in a crash."""
    path = tmp_path / "x.arrow"
    arrow(path, new)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 + 3])
    refused(CorruptFile, read, path)
    draw = random.Random(11)  # noqa: S311 - chosen bytes
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(4):
            changed[draw.randrange(8, len(data))] = draw.randrange(256)
        path.write_bytes(changed)
        with contextlib.suppress(PipelineError):
            read(path, everything=True, batch_bytes=5000)


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
def test_a_truncated_packed_file_is_found_where_it_ends(tmp_path, name):
    """The head is fine, so the check passes and reading finds the damage."""
    path = tmp_path / name
    json_lines(path)
    path.write_bytes(path.read_bytes()[:-20])
    if name.endswith(".gz"):
        check(path)
    refused(CorruptFile, read, path)
    refused(CorruptFile, lambda path: shard_schema(open_shard(path), InputConfig()), path)


def test_a_changed_byte_in_a_packed_file_is_found(tmp_path):
    """The checksum of gzip is verified."""
    path = tmp_path / "x.jsonl.gz"
    json_lines(path)
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert "check" in refused(CorruptFile, read, path).found


def test_a_truncated_json_lines_file_loses_no_whole_line(tmp_path):
    """The last, cut line is a rejected row and the others are read."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "b"}\n{"te')
    (batch,) = read_documents(open_shard(path), InputConfig())
    assert batch.texts.to_pylist() == ["a", "b"]
    assert [(item.row, item.reason, item.text) for item in batch.rejected] == [
        (2, "not_json", b'{"te')
    ]


def test_a_missing_text_column_names_file_and_columns(tmp_path):
    """In every format with columns the message lists what there is."""
    table = pa.table({"q": [SECRET], "n": [1], "a": [SECRET]})
    pq.write_table(table, tmp_path / "x.parquet")
    with pa.ipc.new_file(tmp_path / "x.arrow", table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "x.jsonl").write_text(f'{{"q": "{SECRET}", "n": 1, "a": "{SECRET}"}}\n')
    (tmp_path / "x.csv").write_text(f"q,n,a\n{SECRET},1,{SECRET}\n")
    for name in ("x.parquet", "x.arrow", "x.jsonl", "x.csv"):
        error = refused(SchemaMismatch, check, tmp_path / name)
        assert error.what == "No text column was found."
        n = "string" if name == "x.csv" else "int64"
        assert error.found == f"q: string, n: {n}, a: string"
        assert error.fix == "--set input.text=NAME"


def test_a_text_column_of_the_wrong_type_is_refused(tmp_path):
    """Numbers are not text."""
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "x.parquet")
    error = refused(SchemaMismatch, check, tmp_path / "x.parquet")
    assert (error.found, error.expected) == (
        "int64",
        "text, bytes, a list of texts, or chat messages",
    )


BOUND = "--bounding-set=-dac_override,-dac_read_search"  # what lets root read everything
PLAIN = ["setpriv", BOUND, BOUND.replace("bounding-set", "inh-caps")]
SKIPPED = """
import json, sys
from pipeline.config.load import load_config
from pipeline.errors import InputError
from pipeline.run import new_manifest
from pipeline.scan.inventory import inventory

manifest = new_manifest()
try:
    inventory(manifest, [sys.argv[1]], load_config(settings=sys.argv[2:]))
except InputError as error:
    print(json.dumps([error.what, error.found, error.fix]))
else:
    print(json.dumps(manifest["corpus"]["skipped"]))
"""


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which(PLAIN[0]), reason="root reads all")
def test_a_file_without_permission_is_named_and_can_be_left_out(tmp_path):
    """The message has the system's reason; with `input.skip_bad_files` the others are scanned."""
    for name in ("x.jsonl", "y.jsonl"):
        (tmp_path / name).write_text(json.dumps({"text": SECRET}))
    (tmp_path / "x.jsonl").chmod(0)

    def asked(*settings):
        command = [*PLAIN, sys.executable] if os.geteuid() == 0 else [sys.executable]
        command += ["-c", SKIPPED, str(tmp_path), *settings]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    what, found, fix = asked()
    assert (what, found) == ("A file cannot be read.", os.strerror(errno.EACCES))
    assert "--skip-bad-files" in fix
    assert asked("input.skip_bad_files=true") == {"x.jsonl": what}


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.jsonl", "x.csv", "x.txt"])
def test_a_file_that_vanished_is_named(tmp_path, name):
    """Between listing and reading a file may go away, in any format."""
    path = tmp_path / name
    path.write_text("text\n")
    shard = open_shard(path)
    path.unlink()
    for action in (check_shard, lambda *args: list(read_documents(*args))):
        error = refused(CorruptFile, lambda _, act=action: act(shard, InputConfig()), path)
        assert error.found == os.strerror(errno.ENOENT)


def test_only_errors_that_may_pass_are_transient(tmp_path):
    """A stale handle may come back; a failing disk or a damaged length will not."""
    where = str(tmp_path)
    for raised, expected in (
        (OSError(errno.ESTALE, "stale"), TransientIOError),
        (OSError(errno.EIO, "disk"), CorruptFile),
        (pa.ArrowInvalid(f"bad\n{SECRET}"), CorruptFile),
        (pa.ArrowMemoryError("malloc of size 8574853690513425216 failed"), CorruptFile),
    ):
        with pytest.raises(expected) as caught, reading(where):
            raise raised
        assert SECRET not in str(caught.value)


def test_a_consumer_that_fails_keeps_its_own_error(tmp_path):
    """Errors of the code that uses the batches are not taken for errors of the file."""
    parquet(tmp_path / "x.parquet")
    batches = read_documents(open_shard(tmp_path / "x.parquet"), InputConfig())

    def consume():
        for _ in batches:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        consume()


def test_nulls_invalid_bytes_and_duplicate_ids_are_rows_not_errors(tmp_path):
    """Bad rows go to rejected with their reason and nothing else is lost."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        b'{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n{"id": 2, "text": null}\n'
        b'{"id": 3, "text": ""}\n{"id": 4, "text": "\xff"}\n{"id": 5, "text": 6}\n'
    )
    (batch,) = read_documents(open_shard(path), InputConfig())
    assert batch.ids.to_pylist() == ["1", "1"]
    reasons = [item.reason for item in batch.rejected]
    assert reasons == ["null_text", "empty_text", "invalid_utf8", "not_a_string"]
    assert len(batch.rows) + len(batch.rejected) == 6


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet", "x.txt"])
def test_what_cannot_be_read_twice_is_refused_at_once(tmp_path, name):
    """A pipe or a device under the name of a file is no input; nothing waits for it."""
    os.mkfifo(tmp_path / name)
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / "zero.jsonl"):
        error = refused(InputError, open_shard, path)
        assert "pipe" in error.what


def test_a_file_that_vanished_is_named_by_what_identifies_it(tmp_path):
    """Its size, time and hash are asked for in the middle of a run."""
    for action in (identify, content_digest):
        error = refused(CorruptFile, action, tmp_path / "x.jsonl")
        assert error.found == os.strerror(errno.ENOENT)


def test_a_file_that_changes_between_two_passes_is_named_without_its_text(tmp_path):
    """JSON Lines are read once for their columns and once for their rows."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "n": 1}\n')
    schema = shard_schema(open_shard(path), InputConfig())
    path.write_text(f'{{"text": "a", "n": "{SECRET}"}}\n')
    with pytest.raises(InputError, match="changed while it was read") as caught:
        list(read_documents(open_shard(path), InputConfig(), everything=True, schema=schema))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_files_of_one_fault_are_one_line(tmp_path):
    """The message says how many files there are, names a few and says what to do."""
    folder = tmp_path / "c"
    folder.mkdir()
    for n in range(120):
        (folder / f"{n:03}.jsonl").write_text('{"morning": "a b", "evening": "c d"}\n')
    (folder / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="121 of 121 files cannot be used") as caught:
        inventory(new_manifest(), [str(folder)], Config())
    assert caught.value.found.splitlines()[0] == (
        "120 files, 000.jsonl, 001.jsonl, 002.jsonl and 117 more: No text column was found.; "
        "expected: one of text, content, body, document, raw_content, messages, conversations, "
        "conversation, dialogue, chat; a known group such as prompt and completion; or a single "
        "column of chats, or whose values look like text, mostly distinct and of several words; "
        "found: morning: string, evening: string; "
        "to do: --set input.text=NAME"
    )
    assert caught.value.where == "000.jsonl and 120 more"
    assert len(str(caught.value).splitlines()) == 5
