"""The sketch: one pass over each text makes its hash, its MinHash signature and its words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SYMBOL_WORDS, SketchConfig
from pipeline.corpus import (
    DocumentBatch,
    Shard,
    content_digest,
    identify,
    read_documents,
    shard_schema,
)
from pipeline.corpus.casts import in_types
from pipeline.engine.memory import require_room
from pipeline.engine.progress import current
from pipeline.engine.shards import row_keys
from pipeline.engine.stage import FileRecord, Receipt, Work
from pipeline.engine.tables import write_table
from pipeline.errors import InputError, IntegrityError
from pipeline.scan.words import WordWriter
from pipeline.text import minhash
from pipeline.text import segmentation as text
from pipeline.text import segmentation_kernels as kernels
from pipeline.text.forms import Form, form_hashes, normalized, realigned
from pipeline.text.symbols import symbols
from schemas.scan.rejected import rejected
from schemas.scan.signatures import SIGNATURES
from schemas.scan.words import WORDS

VERSION = 7
BATCH_BYTES = 8 << 20  # of texts read at once
PIECE = 1 << 16  # words; with what is known of each it fits a core's cache
SIGNATURES_AT_ONCE = 16 << 20  # bytes


def sketch(work: Work) -> Receipt:
    """Write `signatures`, `words` and, for bad rows, `rejected` of a group of shards.

    A *map* stage: each shard is read once.

    Raises:
        IntegrityError: When a document is lost between the tables.
        InputError: When a shard changes while it is read.
    """
    shards: list[dict[str, Any]] = []
    files: list[FileRecord] = []
    with (
        write_table(work.folder, "signatures", work.key, SIGNATURES) as signatures,
        write_table(work.folder, "words", work.key, WORDS) as words,
    ):
        writer = WordWriter(words, work.config.sketch.seed)
        sketcher = Sketcher(work.config.sketch, writer, work.config.text.normalize)
        for shard in work.shards:
            digest = content_digest(Path(shard.path))
            reasons: Counter[str] = Counter()
            rows = 0
            for batch in read_documents(shard, work.config.input, batch_bytes=BATCH_BYTES):
                _require_room(shard, batch, work)
                for table in sketcher.add(shard.number, batch):
                    signatures.write(table)
                rows += len(batch.rows)
                reasons.update(item.reason for item in batch.rejected)
                current().advance(rows, 0, shard.name)
            if reasons:
                files.append(_write_rejected(shard, work))
            _unchanged(shard)
            facts = {"number": shard.number, "content_digest": digest, "documents": rows}
            shards.append({**facts, "rejected": dict(sorted(reasons.items()))})
        if writer.finish() != signatures.rows:
            raise IntegrityError("Documents were lost among the words.", where=work.key)
    files = [signatures.record, words.record, *files]
    read = sum(entry["documents"] + sum(entry["rejected"].values()) for entry in shards)
    written = sum(record.rows for record in files if record.table != "words")
    return Receipt(tuple(files), read, written, {"shards": shards})


class Sketcher:
    """A maker of rows of `signatures` and `words` from batches of texts, one pass over each text.

    Words are taken in pieces that fit the processor's cache: cut, hashed, shingled and encoded
    before the next piece is read. A document may lie in any number of pieces, so its length costs
    no memory here. Any batching gives the same rows.
    """

    def __init__(self, config: SketchConfig, words: WordWriter, form: Form = "none") -> None:
        self._form = form
        self._size, self._values = config.shingle_words, config.bands * config.rows
        self._sink = text.word_sink(PIECE + self._size, config.seed)
        self._shingler = minhash.shingler(
            self._size, self._values, config.seed, self._sink.hashes.size
        )
        self._room = np.empty((PIECE // self._size + kernels.ROOM, self._values), np.uint32)
        self._words = words

    def add(self, shard: int, batch: DocumentBatch) -> Iterator[pa.Table]:
        """Yield the rows of `signatures` of a batch, in order, some megabytes at a time."""
        keys = row_keys(shard, batch.rows)
        texts, alignments = normalized(batch.texts, self._form)
        offsets, data = text.text_buffers(texts)
        open_row = (-1, 0)
        self._words.begin(keys)
        counts, few = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.uint64)
        made: list[np.ndarray] = []
        written = size = 0
        for rows, bounds in self._pieces(offsets, data):
            counts[rows[0] : rows[1]] += np.diff(bounds[rows[0] : rows[1] + 1])
            places = None
            if alignments:
                found = self._sink.starts, self._sink.ends
                *ends, open_row = realigned(alignments, rows, bounds, found, open_row)
                places = ends[0], ends[1]
            self._words.add(data, offsets, rows, bounds, self._sink, places)
            done = minhash.sketch_piece(
                self._sink.hashes, rows, bounds, self._shingler, few, self._room
            )
            made.append(self._room[:done].copy())
            size += made[-1].nbytes
            whole = int(rows[1]) - int(not rows[2])
            if size > SIGNATURES_AT_ONCE or whole == len(keys):
                part = slice(written, whole)
                column = _signature_column(counts[part], few[part], made, self._size)
                signs = symbols(texts.slice(written, whole - written), counts[part] < SYMBOL_WORDS)
                yield _rows(batch, keys, part, counts, column, signs)
                written, made, size = whole, [], 0

    def _pieces(
        self, offsets: np.ndarray, data: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Fill the sink with words and yield which rows they are of, until all texts are taken.

        Yields rows (the first row, the row after the last, whether the last is whole) and bounds:
        row r owns the words from bounds[r] to bounds[r + 1]; before bounds[rows[0]] are the words
        that were carried over from the piece before.
        """
        place, bounds = np.zeros(3, np.int64), np.zeros(offsets.size, np.int64)
        while place[0] < offsets.size - 1:
            begin = int(place[0])
            place[2] = bounds[begin] = self._shingler.state[0]
            last = int(kernels.scan_words(data, offsets, place, self._sink, bounds))
            cut = bool(place[0] < offsets.size - 1 and place[1] > offsets[place[0]])
            yield np.array([begin, place[0] + cut, not cut], np.int64), bounds
            carried = int(self._shingler.state[0])
            self._sink.hashes[:carried] = self._sink.hashes[last - carried : last].copy()


def _require_room(shard: Shard, batch: DocumentBatch, work: Work) -> None:
    """Refuse a text for which the memory budget is too small."""
    lengths = np.diff(_offsets(batch.texts))
    if lengths.size:
        row = int(lengths.argmax())
        where = f"{shard.name}, row {batch.rows[row]}"
        require_room(int(lengths[row]), work.memory, work.config, where)


def _rows(
    batch: DocumentBatch,
    keys: np.ndarray,
    part: slice,
    counts: np.ndarray,
    column: pa.Array,
    signs: pa.Array,
) -> pa.Table:
    """Return the rows of `signatures` of some consecutive documents of a batch."""
    size = part.stop - part.start
    texts = batch.texts.slice(part.start, size)
    return pa.table(
        {
            "row_key": keys[part],
            "doc_id": batch.ids.slice(part.start, size),
            "source": batch.sources.slice(part.start, size),
            "priority": batch.priorities.slice(part.start, size),
            "priority_rest": batch.rests.slice(part.start, size),
            "text_bytes": pa.array(np.diff(_offsets(texts))),
            "words": pa.array(counts[part]),
            "symbols": signs,
            "text_hash": text_hashes(texts),
            "form_hash": pa.array(form_hashes(texts)),
            "signature": column,
        }
    )


def _signature_column(
    counts: np.ndarray, few: np.ndarray, made: list[np.ndarray], size: int
) -> pa.Array:
    """Return the column of signatures of some documents.

    Args:
        counts: words of each document.
        few: the only shingle of each document of fewer words than a shingle has.
        made: signatures of the others, in order.
        size: words of a shingle.
    """
    signed, short = counts >= size, (counts > 0) & (counts < size)
    values = np.concatenate(
        [np.zeros(0, np.uint8), *(part.reshape(-1).view(np.uint8) for part in made)]
    )
    width = values.size // max(1, int(signed.sum()))
    lengths = np.where(signed, width, np.where(short, 8, 0))
    ends = np.concatenate([[0], np.cumsum(lengths)])
    if not short.any():
        return binary_column(values, ends)
    data = np.empty(int(ends[-1]), np.uint8)
    long = np.repeat(signed, lengths)
    data[long] = values
    data[~long] = few[short].view(np.uint8)
    return binary_column(data, ends)


def text_hashes(texts: pa.LargeStringArray) -> pa.Array:
    """Return the BLAKE2b-128 hash of each text's bytes.

    A Python loop per row: 1 us a row and 0.9 GB/s, a fiftieth of what the rest of the sketch takes
    on prose.
    """
    data = memoryview(texts.buffers()[2]) if texts.buffers()[2] is not None else memoryview(b"")
    ends = _offsets(texts)
    digest = b"".join(
        hashlib.blake2b(data[start:end], digest_size=16).digest()
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    )
    return pa.Array.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(digest)])


def _offsets(texts: pa.LargeStringArray) -> np.ndarray:
    """Return the offsets of some texts in their buffer."""
    count = len(texts)
    if count == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + count + 1]


def binary_column(data: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """Return a large_binary array over one run of bytes, cut at offsets of shape (rows + 1,)."""
    ends = pa.py_buffer(np.ascontiguousarray(offsets, np.int64))
    return pa.Array.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, ends, pa.py_buffer(data)]
    )


def signature_matrix(column: pa.Array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows of a column have a signature, and these as uint32 (rows, count).

    The values may be a view of the column.
    """
    return _wide(column, 4 * count, np.uint32, count)


def short_hashes(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows of a column are too short for a signature, and their one shingle hash."""
    rows, values = _wide(column, 8, np.uint64, 1)
    return rows, values[:, 0]


def _wide(
    column: pa.Array, width: int, kind: type[np.generic], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return which values of a binary column have a width, and these as numbers (rows, count)."""
    places, data = column.buffers()[1:]
    ends = np.frombuffer(places, np.int64)[column.offset : column.offset + len(column) + 1]
    present = np.flatnonzero(np.diff(ends) == width)
    raw = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    if len(present) == len(column):
        taken = raw[ends[0] : ends[-1]]
    else:
        taken = raw[(ends[present][:, None] + np.arange(width)).reshape(-1)]
    return present, np.ascontiguousarray(taken).view(kind).reshape(len(present), count)


def _write_rejected(shard: Shard, work: Work) -> FileRecord:
    """Read a shard that has bad rows once more, with all its columns, and write those rows."""
    columns = shard_schema(shard, work.config.input)
    schema = rejected(columns)
    with write_table(work.folder, "rejected", work.names[shard.number], schema) as out:
        for batch in read_documents(shard, work.config.input, everything=True, schema=columns):
            if batch.rejected:
                out.write(rejected_rows(shard.name, batch, schema))
    return out.record


def rejected_rows(shard: str, batch: DocumentBatch, schema: pa.Schema) -> pa.Table:
    """Return a batch's rejected rows in order; `record` is null where nothing could be parsed."""
    rows = np.array([item.row for item in batch.rejected], np.int64)
    told: list[pa.Array] = [
        pa.array([item.text for item in batch.rejected], pa.large_binary()),
        pa.array([item.reason for item in batch.rejected], pa.string()),
        pa.array([shard] * len(rows), pa.string()),
        pa.array(rows),
    ]
    if "record" not in schema.names:
        return pa.table(told, schema=schema)
    record = schema.field("record").type
    place = np.searchsorted(batch.rejected_rows, rows)
    if batch.rejected_columns is not None and len(batch.rejected_rows):
        parsed = batch.rejected_rows[np.minimum(place, len(batch.rejected_rows) - 1)] == rows
        records = in_types(batch.rejected_columns, pa.schema(list(record))).to_struct_array()
        struct = records.take(pa.array(np.where(parsed, place, 0), mask=~parsed))
    else:
        struct = pa.nulls(len(rows), record)
    return pa.table([*told, struct], schema=schema)


def _unchanged(shard: Shard) -> None:
    """Refuse a shard that changed while it was read.

    Raises:
        InputError: When its size, time or tail is another one now.
    """
    if identify(Path(shard.path)) != (shard.bytes, shard.mtime_ns, shard.tail_digest):
        raise InputError(
            "A shard changed while it was read.", where=shard.name, fix="run the same command again"
        )
