import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config.sections import Config
from pipeline.corpus import DocumentBatch, Rejected, find_shards, read_documents
from pipeline.engine import shards
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.errors import InputError, IntegrityError
from pipeline.scan import signatures
from pipeline.scan.words import WordWriter, chunk_places, read_chunk
from pipeline.text import minhash
from pipeline.text import segmentation as text
from schemas.scan.rejected import rejected
from schemas.scan.signatures import SIGNATURES
from tests import reference
from tests.sketched import batch_of, sketch

TEXTS = ["One two, THREE four five six", "...", "漢字 é", "a", "one two three four five six"]


def work_on(corpus, folder):
    """Return the unit of work that sketches all shards of a corpus."""
    shards = tuple(find_shards([str(corpus)])[0])
    names = {shard.number: shard.name for shard in shards}
    return Work("sketch", "g00000", folder, Config(), shards, {}, names)


def test_row_keys_are_shard_and_row():
    """The shard's number stands above 40 bits of row."""
    keys = shards.row_keys(3, np.array([0, 2**40 - 1]))
    assert keys.tolist() == [3 * 2**40, 4 * 2**40 - 1]
    assert keys.dtype == np.uint64


def test_text_hashes_are_blake2b_of_the_bytes():
    """Each hash is hashlib's of 16 bytes, also over a slice of an array."""
    texts = pa.array(["skipped", "a", "", "漢é", "a"], pa.large_string())[1:]
    expected = [hashlib.blake2b(t.encode(), digest_size=16).digest() for t in ["a", "", "漢é", "a"]]
    assert signatures.text_hashes(texts).to_pylist() == expected
    assert signatures.text_hashes(texts[:0]).to_pylist() == []


def test_a_document_has_its_bytes_words_and_signature(tmp_path):
    """Lengths are of the UTF-8 and of the words by definition; no words, no signature; fewer words
    than a shingle, the hash of them.
    """
    table = sketch(tmp_path, TEXTS, shard=2).signatures
    assert table["row_key"].to_pylist() == [2 * 2**40 + n for n in range(5)]
    assert table["text_bytes"].to_pylist() == [28, 3, 9, 1, 27]
    assert table["words"].to_pylist() == [6, 0, 3, 1, 6]
    assert table["words"].to_pylist() == [len(reference.words(text)) for text in TEXTS]
    values = table["signature"].to_pylist()
    assert [len(value) for value in values] == [126 * 4, 0, 8, 8, 126 * 4]
    assert values[0] == values[4]
    assert values[2] != values[3]
    batch = text.words(pa.array(TEXTS, pa.large_string()), 1)
    offsets, hashes = text.shingles(batch, 5, 1)
    assert values[2:4] == [hashes[offsets[row]].tobytes() for row in (2, 3)]
    whole = minhash.signatures(offsets, hashes, 126, 1)
    assert [values[0], values[4]] == [whole[0].tobytes(), whole[4].tobytes()]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_any_batching_gives_the_same_rows(tmp_path, size):
    """Batches of one, two or three documents give the rows of one batch."""
    whole = sketch(tmp_path / "whole", TEXTS)
    parts = sketch(tmp_path / "parts", TEXTS, sizes=(size,) * 5)
    assert parts.signatures.equals(whole.signatures)
    assert parts.path.read_bytes() == whole.path.read_bytes()


def test_an_empty_batch_gives_no_rows(tmp_path):
    """A batch of no documents is no error, alone or between others."""
    done = sketch(tmp_path / "none", [], sizes=(0, 0))
    assert (done.signatures.num_rows, done.places) == (0, [])
    between = sketch(tmp_path / "between", TEXTS, sizes=(0, 2, 0, 0))
    assert between.signatures.equals(sketch(tmp_path / "whole", TEXTS).signatures)


def test_the_matrix_leaves_out_documents_without_words(tmp_path):
    """Rows of the matrix are those of the documents that have a signature, also over a slice; the
    short ones are apart.
    """
    column = sketch(tmp_path, TEXTS).signatures["signature"].chunk(0)
    present, values = signatures.signature_matrix(column, 126)
    assert present.tolist() == [0, 4]
    assert values.shape == (2, 126)
    assert values[0].tobytes() == column[0].as_py()
    present, values = signatures.signature_matrix(column.slice(1, 4), 126)
    assert present.tolist() == [3]
    assert values[0].tobytes() == column[4].as_py()
    assert signatures.signature_matrix(column.slice(1, 1), 126)[1].shape == (0, 126)
    few, hashes = signatures.short_hashes(column)
    assert few.tolist() == [2, 3]
    assert [value.tobytes() for value in hashes] == [column[2].as_py(), column[3].as_py()]
    few, hashes = signatures.short_hashes(column.slice(3, 2))
    assert (few.tolist(), hashes[0].tobytes()) == ([0], column[3].as_py())
    assert signatures.short_hashes(column.slice(0, 2))[0].tolist() == []
    many = pa.concat_arrays([column.slice(0, 1)] * 3)
    assert signatures.signature_matrix(many, 126)[1].shape == (3, 126)


def test_sketch_writes_documents_and_rejected_rows(tmp_path, make_corpus):
    """Two shards of a group: every row is a document or rejected with its reason and columns."""
    rows = [
        {"text": "a b", "n": 1},
        {"text": "", "n": 2},
        {"text": None, "n": 3},
        {"text": "c", "n": 4},
    ]
    corpus = make_corpus(tmp_path / "c", {"a.parquet": rows, "b.jsonl": ["d", "e"]})
    work = work_on(corpus, tmp_path)
    receipt = signatures.sketch(work)
    assert (receipt.rows_in, receipt.rows_out) == (6, 6)
    assert [(s["number"], s["documents"], s["rejected"]) for s in receipt.facts["shards"]] == [
        (0, 2, {"empty_text": 1, "null_text": 1}),
        (1, 2, {}),
    ]
    assert [record.path for record in receipt.files] == [
        "signatures/g00000.parquet",
        "words/g00000.parquet",
        "rejected/a.parquet.parquet",
    ]
    found = read_table([tmp_path / "signatures/g00000.parquet"], SIGNATURES)
    assert found["row_key"].to_pylist() == [0, 3, 2**40, 2**40 + 1]
    assert found["doc_id"].to_pylist() == ["a.parquet#0", "a.parquet#3", "b.jsonl#0", "b.jsonl#1"]
    [chunk] = map(read_chunk, chunk_places([tmp_path / "words/g00000.parquet"]))
    assert chunk.keys.tolist() == found["row_key"].to_pylist()
    assert chunk.words.offsets.tolist() == [0, 2, 3, 4, 5]
    bad = pa.parquet.read_table(tmp_path / "rejected/a.parquet.parquet")
    assert bad.to_pylist() == [
        {
            "text": b"",
            "reason": "empty_text",
            "shard": "a.parquet",
            "row": 1,
            "record": {"text": "", "n": 2},
        },
        {
            "text": None,
            "reason": "null_text",
            "shard": "a.parquet",
            "row": 2,
            "record": {"text": None, "n": 3},
        },
    ]


def test_documents_lost_among_the_words_stop_the_sketch(tmp_path, make_corpus, monkeypatch):
    """The table of words must hold every document that has a signature."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a b", "c"]})
    honest = WordWriter.finish
    monkeypatch.setattr(WordWriter, "finish", lambda writer: honest(writer) - 1)
    with pytest.raises(IntegrityError, match="Documents were lost"):
        signatures.sketch(work_on(corpus, tmp_path))


def test_the_digest_is_of_the_whole_file(tmp_path, make_corpus):
    """The content digest that goes to the registry is the BLAKE2b-128 of the shard."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a"]})
    [facts] = signatures.sketch(work_on(corpus, tmp_path)).facts["shards"]
    data = (corpus / "a.jsonl").read_bytes()
    assert facts["content_digest"] == hashlib.blake2b(data, digest_size=16).hexdigest()


def test_a_shard_that_changes_while_it_is_read_stops_the_sketch(tmp_path, make_corpus, monkeypatch):
    """Bytes appended behind the reader's back are noticed, and nothing is written."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": ["a"]})

    def read(shard, config, **options):
        yield from read_documents(shard, config, **options)
        with Path(shard.path).open("a") as stream:
            stream.write('{"text": "late"}\n')

    monkeypatch.setattr(signatures, "read_documents", read)
    with pytest.raises(InputError, match="changed while it was read") as stopped:
        signatures.sketch(work_on(corpus, tmp_path))
    assert stopped.value.where == "a.jsonl"
    assert not list(tmp_path.rglob("*.parquet"))


def test_rejected_rows_keep_the_record_where_it_was_parsed():
    """A raw line that is no JSON has no record; a parsed row next to it has its own."""
    batch = batch_of([])
    columns = pa.record_batch({"text": pa.array([""]), "n": pa.array([7])})
    fields = {
        **vars(batch),
        "rejected": (
            Rejected(4, "not_json", b"{"),
            Rejected(5, "empty_text", b""),
            Rejected(9, "not_json", b"\xff"),
        ),
        "rejected_columns": columns,
        "rejected_rows": np.array([5]),
    }
    found = signatures.rejected_rows("x", DocumentBatch(**fields), rejected(columns.schema))
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (b"{", "not_json", "x", 4, None),
        (b"", "empty_text", "x", 5, {"text": "", "n": 7}),
        (b"\xff", "not_json", "x", 9, None),
    ]
