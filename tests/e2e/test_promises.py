"""The promises of the design that a user relies on, held against whole runs of the command line."""

import json
import os
import socket
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import reference
from tests.e2e import corpora
from tests.e2e.command import QUICK_SCORE, begin, ending, files, fresh, manifest, rote

ROWS = 2**40
OFFLINE = """
import socket
def refuse(*_, **__):
    raise SystemExit("a connection was tried")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""
WAIT_AT_EACH_FILE = """
import sys
import pipeline.engine.files as written
publish = written.publish
def wait(*facts):
    print("here", flush=True)
    sys.stdin.readline()
    return publish(*facts)
written.publish = wait
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run everything, offline and wordy, on every format; return corpus, folder and ending."""
    folder = tmp_path_factory.mktemp("whole")
    corpus = corpora.every_format(folder / "corpus")
    run = folder / "run"
    options = ("--local", "-v", *QUICK_SCORE)
    ended = fresh("run", corpus.folder, "--out", run, *options, prelude=OFFLINE)
    assert ended.code == 0, ended.err
    return corpus, run, ended


def rows_of(run, table):
    """Return the rows of a table of a run folder as objects."""
    return [
        row
        for path in sorted((run / table).rglob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def shards_of(run):
    """Return each shard's name by its number, and the name of its output without the suffix."""
    shards = manifest(run)["corpus"]["shards"]
    return {shard["number"]: shard["name"] for shard in shards if shard["active"]}


def emitted(run, table):
    """Return each shard's emitted rows by number: the user's columns, and what was added."""
    names = shards_of(run)
    found: dict[str, dict[int, tuple[Any, Any]]] = {}
    for path in sorted((run / table).rglob("*.parquet")):
        columns = pq.read_table(path)
        added = columns["rote"].to_pylist()
        for place, row in enumerate(added):
            shard = names[row["row_key"] // ROWS]
            own = columns.drop_columns("rote").slice(place, 1)
            found.setdefault(shard, {})[row["row_key"] % ROWS] = (own, row)
    return found


def test_every_row_is_kept_removed_or_rejected(whole):
    """Over all formats, each input row is in exactly one of kept, removed and rejected."""
    corpus, run, _ = whole
    kept, removed = emitted(run, "kept"), emitted(run, "removed")
    for shard, records in corpus.records.items():
        parts = [kept.get(shard, {}), removed.get(shard, {}), corpus.rejected.get(shard, {})]
        assert Counter(row for part in parts for row in part) == Counter(range(len(records)))
    assert sum(len(rows) for rows in removed.values()) > 30
    assert len(rows_of(run, "rejected")) == 5


@pytest.mark.parametrize("shard", ["deep/part-0.parquet", "deep/part-1.arrow"])
def test_columns_of_any_type_come_through_unchanged(whole, shard):
    """Nested, decimal, time, dictionary and map columns keep value, type and order.

    Those that only other shards have come after them, null.
    """
    corpus, run, _ = whole
    table = corpus.records[shard]
    found = emitted(run, "kept")[shard] | emitted(run, "removed")[shard]
    assert len(found) == table.num_rows - len(corpus.rejected.get(shard, {}))
    for row, (given, _) in found.items():
        own = given.select(given.column_names[: table.num_columns])
        assert list(own.schema.names) == table.column_names
        assert own.schema.types == table.schema.types
        assert own.to_pylist() == table.slice(row, 1).to_pylist()
        added = given.drop_columns(own.column_names)
        assert all(column.null_count == len(column) for column in added.columns)


def test_json_and_csv_values_come_through_unchanged(whole):
    """Strings stay strings, numbers numbers and objects objects; an added field is null."""
    corpus, run, _ = whole
    kept, removed = emitted(run, "kept"), emitted(run, "removed")
    for shard, records in corpus.records.items():
        if isinstance(records, pa.Table):
            continue
        for row, (own, _) in (kept.get(shard, {}) | removed.get(shard, {})).items():
            values = own.to_pylist()[0]
            assert {name: values[name] for name in records[row]} == records[row]
            more = {n for n, v in values.items() if n not in records[row] and v is not None}
            assert more == ({"id"} if shard.endswith(".txt") else set())


def test_rejected_rows_hold_bytes_reason_and_record(whole):
    """What is no document is written out with its own bytes, why, where, and its other columns."""
    corpus, run, _ = whole
    rows = {(row["shard"], row["row"]): row for row in rows_of(run, "rejected")}
    planted = {
        (shard, row): why for shard, own in corpus.rejected.items() for row, why in own.items()
    }
    assert {place: (row["reason"], row["text"]) for place, row in rows.items()} == planted
    table = corpus.records["deep/part-0.parquet"]
    assert rows["deep/part-0.parquet", 9]["record"] == table.slice(9, 1).to_pylist()[0]
    assert rows["lines/a.jsonl", 5]["record"] is None
    assert rows["lines/a.jsonl", 8]["record"]["id"] == "number"


def test_every_removal_is_proved_against_a_kept_row(whole):
    """The keeper named in each removed row is kept and, by brute force, as near as the row says."""
    corpus, run, _ = whole
    texts = corpus.texts()
    kept = {row["row_key"]: place for place, row in _places(emitted(run, "kept"))}
    reasons: Counter[str] = Counter()
    for place, row in _places(emitted(run, "removed")):
        keeper = kept[row["keeper"]]
        shared, either = reference.jaccard(texts[place], texts[keeper])
        assert 5 * shared >= 4 * either
        assert row["jaccard"] == shared / either
        assert (row["reason"] == "exact_copy") == (texts[place] == texts[keeper])
        reasons[row["reason"]] += 1
    assert set(reasons) == {"exact_copy", "near_copy"}


def _places(shards):
    return [
        ((shard, row), added) for shard, rows in shards.items() for row, (_, added) in rows.items()
    ]


def test_nothing_is_removed_by_transitivity(tmp_path):
    """Of a chain a-b-c whose ends differ, b goes to a, and c stays since it was near b only."""
    prose = corpora.Prose(5)
    a = prose.words(200)
    b = ["else" if place in (20, 60, 100) else word for place, word in enumerate(a)]
    c = ["else" if place in (140, 160, 180) else word for place, word in enumerate(b)]
    texts = {"a": " ".join(a) + " !" * 50, "b": " ".join(b) + " !" * 25, "c": " ".join(c)}
    near = [reference.jaccard(texts[x], texts[y]) for x, y in ("ab", "bc", "ac")]
    assert [5 * shared >= 4 * either for shared, either in near] == [True, True, False]
    corpora.write(
        tmp_path / "corpus/x.jsonl", [{"id": key, "text": text} for key, text in texts.items()]
    )
    assert rote("scan", tmp_path / "corpus", "--out", tmp_path / "run", "--local").code == 0
    assert rote("filter", tmp_path / "run", "--local").code == 0
    stays = {row["doc_id"]: row["keeper_doc_id"] for row in rows_of(tmp_path / "run", "documents")}
    assert stays == {"a": None, "b": "a", "c": None}


def test_counts_in_kept_rows_are_those_of_the_corpus(whole):
    """Each kept row carries how many documents have its bytes and the scan that counted them."""
    corpus, run, _ = whole
    texts = corpus.texts()
    copies = Counter(texts.values())
    rows = _places(emitted(run, "kept"))
    assert [row["exact_count"] for place, row in rows] == [
        copies[texts[place]] for place, _ in rows
    ]
    assert max(row["exact_count"] for _, row in rows) > 3
    assert json.loads((run / "lists/kept.json").read_text())["counted_in"] == 1


def test_document_text_is_in_no_log_and_no_network_is_needed(whole):
    """A word of every document is in no output, event or manifest of an offline run."""
    _, run, ended = whole
    written = [path for path in (run / "events").rglob("*") if path.is_file()]
    said = [
        ended.out,
        ended.err,
        (run / "manifest.json").read_text(),
        *(path.read_text() for path in written),
    ]
    assert len(written) == 1
    assert ended.err.count("done in") == 17
    assert [corpora.MARKER.lower() in text.lower() for text in said] == [False] * 4
    kept = rows_of(run, "kept")
    assert all(corpora.MARKER in row["text"] for row in kept)


def test_document_text_is_in_no_error(tmp_path):
    """Files that fail name themselves and quote nothing of what is in them."""
    secret = {"text": [f"{corpora.MARKER} {number}" for number in range(2000)]}
    folder = tmp_path / "corpus"
    folder.mkdir()
    pq.write_table(pa.table(secret), folder / "cut.parquet", compression="none")
    data = (folder / "cut.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(data[: len(data) // 2])
    pq.write_table(pa.table({"body": [[[corpora.MARKER]]]}), folder / "typed.parquet")
    (folder / "q.csv").write_text(f'text\n"{corpora.MARKER}\n')
    (folder / "z.jsonl.gz").write_bytes(corpora.MARKER.encode())
    ended = rote("run", folder, "--out", tmp_path / "run", "--local", "-v")
    assert ended.code == 1
    assert all(name in ended.err for name in ("cut.parquet", "typed.parquet", "z.jsonl.gz"))
    assert corpora.MARKER.lower() not in (ended.out + ended.err).lower()
    assert "Traceback" not in ended.err


@pytest.fixture
def scanned(tmp_path):
    """Scan and filter a small corpus; return its folder and the run's."""
    corpus = corpora.small(tmp_path / "corpus")
    run = tmp_path / "run"
    assert rote("scan", corpus, "--out", run, "--local").code == 0
    assert rote("filter", run, "--local").code == 0
    return corpus, run


def test_a_changed_file_is_refused_by_name_and_taken_in_by_a_scan(scanned):
    """Score, filter and report refuse other bytes than were scanned; a scan counts them."""
    corpus, run = scanned
    before = files(run)
    prose = corpora.Prose(11)
    corpora.write(corpus / "shard-2.jsonl", [{"id": "new", "text": prose.text(100)}])
    for command in ("score", "filter", "report"):
        ended = rote(command, run, "--local")
        assert ended.code == 1
        assert "The corpus changed after it was scanned.\n  where: shard-2.jsonl\n" in ended.err
    assert files(run) == before
    assert rote("scan", corpus, "--out", run, "--local").performed[0] == "sketch"
    assert rote("filter", run, "--local").code == 0
    new = [row for row in rows_of(run, "kept") if row["id"] == "new"]
    assert len(new) == 1
    assert json.loads((run / "lists/kept.json").read_text())["counted_in"] == 2
    assert not any(
        row["id"].startswith("2-") for row in rows_of(run, "kept") + rows_of(run, "removed")
    )


def test_a_touched_file_with_the_same_bytes_redoes_nothing(scanned):
    """A new date alone makes no stage run again."""
    corpus, run = scanned
    before = files(run)
    os.utime(corpus / "shard-1.parquet", (1, 1))
    assert rote("filter", run, "--local").code == 1
    assert rote("scan", corpus, "--out", run, "--local").performed == []
    ended = rote("filter", run, "--local")
    assert (ended.code, ended.performed) == (0, [])
    assert {**files(run), "manifest.json": ""} == {**before, "manifest.json": ""}


def test_a_vanished_shard_takes_its_counts_with_it(scanned):
    """After a scan without it a shard counts nowhere, and a filter removes its output."""
    corpus, run = scanned
    before = {row["doc_id"]: row for row in rows_of(run, "documents")}
    (corpus / "shard-3.parquet").unlink()
    ended = rote("report", run, "--local")
    assert ended.code == 1
    assert "where: shard-3.parquet" in ended.err
    assert rote("scan", corpus, "--out", run, "--local").code == 0
    assert rote("filter", run, "--local").code == 0
    after = {row["doc_id"]: row for row in rows_of(run, "documents")}
    assert set(after) == {key for key in before if not key.startswith("3-")}
    copies = Counter(row["text_hash"] for row in after.values())
    assert {row["exact_count"] == copies[row["text_hash"]] for row in after.values()} == {True}
    assert any(after[key]["exact_count"] < before[key]["exact_count"] for key in after)
    assert not (run / "kept/shard-3.parquet").exists()
    assert {row["row_key"] // ROWS for row in after.values()} == {0, 1, 2}


def test_a_new_shard_is_appended_and_changes_the_counts_of_old_ones(scanned):
    """Old shards keep their numbers, are not read again, and count the copies in the new one."""
    corpus, run = scanned
    old = {row["doc_id"]: row for row in rows_of(run, "documents")}
    text = next(row["text"] for row in rows_of(run, "kept") if row["id"] == "0-0")
    corpora.write(corpus / "a-new.jsonl", [{"id": "new", "text": text}])
    sketches = {name: digest for name, digest in files(run).items() if name.startswith("words/")}
    assert rote("scan", corpus, "--out", run, "--local").code == 0
    assert rote("filter", run, "--local").code == 0
    new = {row["doc_id"]: row for row in rows_of(run, "documents")}
    assert {key: row["row_key"] for key, row in new.items() if key != "new"} == {
        key: row["row_key"] for key, row in old.items()
    }
    assert new["new"]["row_key"] == 4 * ROWS
    assert new["0-0"]["exact_count"] == old["0-0"]["exact_count"] + 1
    assert sketches.items() <= files(run).items()


def test_a_second_writer_is_refused_while_the_first_works(tmp_path):
    """The second process names the first and changes nothing; the first ends as if alone."""
    corpus = corpora.small(tmp_path / "corpus")
    run = tmp_path / "run"
    options = ("scan", corpus, "--out", run, "--local", "--set=limits.workers=1")
    with ending(begin(*options, prelude=WAIT_AT_EACH_FILE)) as first:
        assert first.stdout.readline() == "here\n"
        before = files(run)
        second = rote(*options)
        assert second.code == 1
        assert second.err.startswith("rote: Another rote is writing to this run folder.")
        assert f"found: process {first.pid}" in second.err
        assert files(run) == before
        _, err = first.communicate("\n" * 100, timeout=100)
    assert first.returncode == 0, err
    assert rote(*options).performed == []


def test_the_blocked_network_would_have_been_noticed():
    """The prelude that blocks the network does block it: a connection ends the child."""
    tried = f"{OFFLINE}\nsocket.create_connection(('localhost', 9))"
    assert hasattr(socket, "create_connection")
    ended = fresh("--help", prelude=tried)
    assert (ended.code, ended.err) == (1, "a connection was tried\n")
