"""Texts through the sketch without a corpus on disk: batches in, signatures and words out."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.config.sections import SketchConfig
from pipeline.corpus import DocumentBatch
from pipeline.engine.parts import parting
from pipeline.engine.tables import write_table
from pipeline.scan import signatures, vocabulary, words
from schemas.scan.signatures import SIGNATURES
from schemas.scan.words import WORDS

USUAL = SketchConfig()


def batch_of(texts, first=0):
    """Return documents, given as strings or as an array of them, without ids of their own."""
    count = len(texts)
    return DocumentBatch(
        rows=np.arange(first, first + count),
        texts=texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string()),
        ids=pa.array([f"x#{first + n}" for n in range(count)], pa.string()),
        sources=pa.nulls(count, pa.string()),
        priorities=pa.nulls(count, pa.float64()),
        rests=pa.array(np.zeros(count)),
        columns=None,
        rejected=(),
        rejected_columns=None,
        rejected_rows=np.zeros(0, np.int64),
    )


@dataclass(frozen=True)
class Sketched:
    """The rows of `signatures`, and the file of `words`."""

    signatures: pa.Table
    path: Path

    @property
    def places(self):
        """Return where the chunks lie."""
        return words.chunk_places([self.path])

    def documents(self):
        """Return {row_key: (hashes, starts, ends)} of all chunks, as lists."""
        found = {}
        for place in self.places:
            chunk = words.read_chunk(place, positions=True)
            for number, (low, high) in enumerate(pairwise(chunk.words.offsets.tolist())):
                columns = (chunk.words.hashes, chunk.words.starts, chunk.words.ends)
                key = int(chunk.keys[number])
                assert key not in found
                found[key] = tuple(column[low:high].tolist() for column in columns)
        return found


def hold(places, folder, *, seed=1, memory=2**40, cores=1):
    """Hold the words of chunks to one another, with so many bytes of memory before they spill."""
    with parting(folder, memory, cores) as parts:
        return vocabulary.hold_words(places, seed, parts)


def sketch(folder, texts, *, sizes=(), config=USUAL, shard=0):
    """Sketch texts, in batches of these sizes and a last one, into files below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([0, *sizes]).clip(max=len(texts)).tolist()
    tables = [SIGNATURES.empty_table()]
    with write_table(folder, "words", "all", WORDS) as out:
        writer = words.WordWriter(out, config.seed)
        sketcher = signatures.Sketcher(config, writer)
        for low, high in pairwise([*ends, len(texts)]):
            made = sketcher.add(shard, batch_of(texts[low:high], low))
            tables.extend(table.cast(SIGNATURES) for table in made)
        assert writer.finish() == len(texts)
    return Sketched(pa.concat_tables(tables).combine_chunks(), folder / out.record.path)
