import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import signatures
from pipeline.config import Config
from pipeline.corpus import DocumentBatch, Rejected, find_shards, read_documents
from pipeline.errors import InputError
from pipeline.stage import Work
from pipeline.store import read_table
from schemas.rejected import rejected
from schemas.signatures import SIGNATURES
from schemas.words import WORDS
from tests import reference

pytestmark = pytest.mark.usefixtures("kernels")
TEXTS = ["One two, THREE four five six", "...", "漢字 é", "a", "one two three four five six"]


def batch_of(texts, first=0):
    """Return documents without ids of their own."""
    count = len(texts)
    return DocumentBatch(
        rows=np.arange(first, first + count),
        texts=pa.array(texts, pa.large_string()),
        ids=pa.array([f"x#{first + n}" for n in range(count)], pa.string()),
        sources=pa.nulls(count, pa.string()),
        priorities=pa.nulls(count, pa.float64()),
        columns=None,
        rejected=(),
        rejected_columns=None,
        rejected_rows=np.zeros(0, np.int64),
    )


def work_on(corpus, folder):
    """Return the unit of work that sketches all shards of a corpus."""
    shards = tuple(find_shards([str(corpus)])[0])
    names = {shard.number: shard.name for shard in shards}
    return Work("sketch", "g00000", folder, Config(), shards, {}, names)


def test_row_keys_are_shard_and_row():
    """The shard's number stands above 40 bits of row."""
    keys = signatures.row_keys(3, np.array([0, 2**40 - 1]))
    assert keys.tolist() == [3 * 2**40, 4 * 2**40 - 1]
    assert keys.dtype == np.uint64


def test_text_hashes_are_blake2b_of_the_bytes():
    """Each hash is hashlib's of 16 bytes, also over a slice of an array."""
    texts = pa.array(["skipped", "a", "", "漢é", "a"], pa.large_string())[1:]
    expected = [hashlib.blake2b(t.encode(), digest_size=16).digest() for t in ["a", "", "漢é", "a"]]
    assert signatures.text_hashes(texts).to_pylist() == expected
    assert signatures.text_hashes(texts[:0]).to_pylist() == []


def test_a_document_has_its_bytes_words_and_signature():
    """Lengths are of the UTF-8 and of the words by definition; no words, no signature."""
    table, _ = signatures.signatures_and_words(2, batch_of(TEXTS), Config().sketch)
    assert table["row_key"].to_pylist() == [2 * 2**40 + n for n in range(5)]
    assert table["text_bytes"].to_pylist() == [28, 3, 9, 1, 27]
    assert table["words"].to_pylist() == [6, 0, 3, 1, 6]
    assert table["words"].to_pylist() == [len(reference.words(text)) for text in TEXTS]
    sizes = [len(value) for value in table["signature"].to_pylist()]
    assert sizes == [126 * 4, 0, 126 * 4, 126 * 4, 126 * 4]
    assert table["signature"][0] == table["signature"][4]
    assert table["signature"][0] != table["signature"][3]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_any_batching_gives_the_same_rows(size):
    """Batches of one, two or three documents give the rows of one batch."""
    whole = signatures.signatures_and_words(0, batch_of(TEXTS), Config().sketch)
    starts = range(0, len(TEXTS), size)
    parts = [
        signatures.signatures_and_words(0, batch_of(TEXTS[i : i + size], i), Config().sketch)
        for i in starts
    ]
    for number in (0, 1):
        assert pa.concat_tables([part[number] for part in parts]).equals(
            whole[number].combine_chunks()
        )


def test_an_empty_batch_gives_no_rows():
    """A batch of no documents is no error."""
    one, other = signatures.signatures_and_words(0, batch_of([]), Config().sketch)
    assert (one.num_rows, other.num_rows) == (0, 0)


def test_the_matrix_leaves_out_documents_without_words():
    """Rows of the matrix are those of the documents that have a signature, also over a slice."""
    table, _ = signatures.signatures_and_words(0, batch_of(TEXTS), Config().sketch)
    present, values = signatures.signature_matrix(table["signature"], 126)
    assert present.tolist() == [0, 2, 3, 4]
    assert values.shape == (4, 126)
    assert values[0].tobytes() == table["signature"][0].as_py()
    present, values = signatures.signature_matrix(table["signature"].slice(1, 3), 126)
    assert present.tolist() == [1, 2]
    assert values[1].tobytes() == table["signature"][3].as_py()
    assert signatures.signature_matrix(table["signature"].slice(1, 1), 126)[1].shape == (0, 126)


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
    words = read_table([tmp_path / "words/g00000.parquet"], WORDS)
    assert words["row_key"].equals(found["row_key"])
    assert [len(value) for value in words["hashes"].to_pylist()] == [16, 8, 8, 8]
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
