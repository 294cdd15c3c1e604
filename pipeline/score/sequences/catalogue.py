"""The documents of a run as arrays: what sampling needs to know of each, without its text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.forgotten import forgotten_texts
from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.text.arrays import Flags, Float64, Int64, Uint64
from schemas.scan.counts import COUNTS

COLUMNS = (
    "row_key",
    "text_bytes",
    "words",
    "text_hash",
    "representative",
    "exact_count",
    "effective_count",
    "family",
    "max_window_count",
    "repeated_words",
)


@dataclass(frozen=True)
class Catalogue:
    """The documents of a run in order of row_key.

    Attributes:
        row_key: names of the documents, (documents,).
        text_bytes: size of each text, (documents,).
        text_key: first 8 bytes of the text hash, (documents,).
        representative: row_key of the first document of the same text, (documents,).
        exact_count: documents of the same text, (documents,).
        effective_count: exact copies that all copies are worth, (documents,).
        repetition: how often its words occur, by copies or by repeated windows, (documents,).
        family: number of the family, which indexes the two below, (documents,).
        family_key: first 8 bytes of each family's name, (families,).
        family_names: name of each family.
    """

    row_key: Uint64
    text_bytes: Int64
    text_key: Uint64
    representative: Uint64
    exact_count: Int64
    effective_count: Float64
    repetition: Float64
    family: Int64
    family_key: Uint64
    family_names: list[str]

    @property
    def first(self) -> Flags:
        """Which documents stand for their exact group, (documents,)."""
        return np.asarray(self.row_key == self.representative)


def documents_to_score(work: Work) -> Catalogue:
    """Return the documents that proxies may be taught and asked for: those not to be forgotten."""
    counts = read_table(work.paths("counts"), COUNTS, list(COLUMNS))
    return catalogue(without_texts(counts, forgotten_texts(work)))


def without_texts(counts: pa.Table, hashes: Iterable[bytes]) -> pa.Table:
    """Return the rows of a `counts` table but for those whose text has one of some hashes."""
    listed = pa.array(list(hashes), pa.binary(16))
    return counts.filter(pc.invert(pc.is_in(counts["text_hash"], listed)))


def catalogue(counts: pa.Table) -> Catalogue:
    """Return the documents of a `counts` table, sorted by row_key.

    The repetition of a document is the larger of its effective count and of the count of its most
    frequent window, in proportion to the share of its words that repeated windows cover.
    """
    counts = counts.sort_by("row_key").combine_chunks()
    values = {
        name: counts[name].to_numpy() for name in COLUMNS if name not in ("text_hash", "family")
    }
    coded = pc.dictionary_encode(counts["family"].combine_chunks())
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    covered = values["repeated_words"] / np.maximum(values["words"], 1)
    windows = 1.0 + np.maximum(values["max_window_count"] - 1, 0) * covered
    return Catalogue(
        row_key=values["row_key"],
        text_bytes=values["text_bytes"],
        text_key=text_keys(counts["text_hash"].to_pylist()),
        representative=values["representative"],
        exact_count=values["exact_count"],
        effective_count=values["effective_count"],
        repetition=np.maximum(values["effective_count"], windows),
        family=coded.indices.to_numpy().astype(np.int64),
        family_key=_family_keys(coded.dictionary),
        family_names=coded.dictionary.to_pylist(),
    )


def text_keys(hashes: Iterable[bytes]) -> Uint64:
    """Return the first 8 bytes of text hashes as numbers, (hashes,)."""
    raw = b"".join(hashes)
    return np.frombuffer(raw, ">u8").reshape(-1, 2)[:, 0].astype(np.uint64)


def _family_keys(names: pa.Array) -> Uint64:
    """Return the first 8 bytes of names in hexadecimal as numbers."""
    raw = bytes.fromhex("".join(names.to_pylist()))
    return np.frombuffer(raw, ">u8").reshape(-1, 2)[:, 0].astype(np.uint64)
