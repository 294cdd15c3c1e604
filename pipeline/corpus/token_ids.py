"""Arrays of token ids, as training sets are kept: each document is a row.

Its text is what a named tokenizer decodes, or else its ids, each a word; the ids themselves are the
column `tokens`. Where a document ends is told by an index beside the array (of Megatron or of
datatrove), by rows of a two-dimensional array, or by the id `input.token_end`, which is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config.sections import InputConfig
from pipeline.corpus.documents import Records
from pipeline.corpus.files import reading
from pipeline.corpus.priorities import no_priorities
from pipeline.corpus.room import room, too_long
from pipeline.errors import ConfigError, CorruptFile, SchemaMismatch
from pipeline.text.arrays import Int64, Uint32
from pipeline.text.stored_tokenizer import read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IDS = pa.list_(pa.uint32())
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string()), ("tokens", IDS)])
MEGATRON = b"MMIDIDX\0\0"
HEADER_BYTES = 34  # magic, version, type, numbers of sequences and of documents
NUMPY = b"\x93NUMPY"
KINDS = {1: "uint8", 3: "int16", 4: "int32", 5: "int64", 8: "uint16"}  # as Megatron numbers them
TEXT_BYTES = 12  # of an id that is written out, and of its places


@dataclass(frozen=True)
class TokenFile:
    """An array of token ids, mapped, and its documents.

    Attributes:
        ids: of all documents, (ids,).
        starts: first id of each document, (documents,).
        ends: past its last one.
    """

    ids: np.ndarray
    starts: Int64
    ends: Int64


def token_file(path: str, config: InputConfig) -> TokenFile:
    """Return a file's ids and where its documents lie, without those that only end one.

    Raises:
        CorruptFile: When the file or its index is damaged, or they do not belong together.
        SchemaMismatch: When nothing says of which type the ids are, or where a document ends.
    """
    with reading(path):
        ids, starts, ends = _read(Path(path), config)
    whole = starts.size == 0 or bool((starts[0] >= 0) & (ends[-1] <= ids.size))
    if not whole or (ends < starts).any() or (starts[1:] < ends[:-1]).any():
        raise _damaged(path, "documents that overlap or lie outside of the array")
    if config.token_end is not None and ids.size:
        closed = ends > starts
        ends = ends - (closed & (ids[np.maximum(ends - 1, 0)] == config.token_end))
    return TokenFile(ids, starts, ends)


def _read(path: Path, config: InputConfig) -> tuple[np.ndarray, Int64, Int64]:
    """Return a file's ids, and the first and past the last one of each document."""
    index = path.with_suffix(".idx")
    if index.is_file():
        return _megatron(path, index)
    index = path.with_name(f"{path.name}.index")
    if index.is_file():
        ends = np.fromfile(index, np.int64)
        ids = _raw(path, config, int(ends[-1]) if ends.size else 0)
        return ids, np.concatenate([[0], ends[:-1]])[: ends.size], ends
    with path.open("rb") as stream:
        numpy = stream.read(6) == NUMPY
    ids = _numpy(path) if numpy else _raw(path, config)
    if ids.ndim == 2:
        ends = np.arange(1, len(ids) + 1) * ids.shape[1]
        return ids.reshape(-1), ends - ids.shape[1], ends
    if config.token_end is None:
        raise SchemaMismatch(
            "Nothing says where a document ends in an array of token ids.",
            where=str(path),
            found="no index beside it",
            fix="name the id that ends one: --set input.token_end=ID",
        )
    ends = np.flatnonzero(ids == config.token_end).astype(np.int64) + 1
    if ids.size and (ends.size == 0 or ends[-1] < ids.size):
        ends = np.append(ends, ids.size)
    return ids, np.concatenate([[0], ends[:-1]])[: ends.size], ends


def _megatron(path: Path, index: Path) -> tuple[np.ndarray, Int64, Int64]:
    """Return the ids and documents that an index of Megatron tells: runs of its sequences."""
    raw = index.read_bytes()
    if len(raw) < HEADER_BYTES:
        raise _damaged(str(index), "not an index of Megatron's, version 1")
    sequences, documents = (int(n) for n in np.frombuffer(raw[18:HEADER_BYTES], "<u8"))
    kind = KINDS.get(raw[17])
    size = HEADER_BYTES + 12 * sequences + 8 * documents
    if not raw.startswith(MEGATRON) or kind is None or len(raw) != size:
        raise _damaged(str(index), "not an index of Megatron's, version 1")
    lengths = np.frombuffer(raw, "<i4", sequences, HEADER_BYTES).astype(np.int64)
    places = np.frombuffer(raw, "<i8", sequences, HEADER_BYTES + 4 * sequences)
    bounds = np.frombuffer(raw, "<i8", documents, HEADER_BYTES + 12 * sequences)
    width = np.dtype(kind).itemsize
    starts = places // width
    if (starts[1:] != (starts + lengths)[:-1]).any():
        raise _damaged(str(index), "sequences that do not follow one another")
    if bounds.size and not 0 <= bounds.min() <= bounds.max() <= sequences:
        raise _damaged(str(index), "documents of sequences that are not there")
    edges = np.append(starts, starts[-1] + lengths[-1] if sequences else 0)[bounds]
    return _mapped(path, kind), edges[:-1], edges[1:]


def _raw(path: Path, config: InputConfig, count: int = 0) -> np.ndarray:
    """Return the ids of a file without a header; an index may tell how many there are."""
    width = path.stat().st_size // count if count else 0
    kind = {2: "uint16", 4: "uint32"}.get(width, "") if config.tokens == "auto" else config.tokens
    if not kind:
        raise SchemaMismatch(
            "Nothing says of which type the ids of an array are.",
            where=str(path),
            found="neither a header nor an index that tells",
            fix='name it: --set input.tokens="uint16"',
        )
    return _mapped(path, kind)


def _numpy(path: Path) -> np.ndarray:
    """Return the ids of an array that NumPy stored, (ids,) or (documents, ids)."""
    try:
        ids = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise _damaged(str(path), "an array that NumPy cannot map") from error
    if ids.ndim not in (1, 2) or ids.dtype.kind not in "iu":
        raise _damaged(str(path), f"{ids.ndim} dimensions of {ids.dtype}")
    return np.ascontiguousarray(ids) if not ids.flags.c_contiguous else ids


def _mapped(path: Path, kind: str) -> np.ndarray:
    size, width = path.stat().st_size, np.dtype(kind).itemsize
    if size % width:
        raise _damaged(str(path), f"{size:,} bytes, no multiple of {width}")
    return np.memmap(path, kind, "r") if size else np.zeros(0, kind)


def token_records(path: str, name: str, config: InputConfig, batch_bytes: int) -> Iterator[Records]:
    """Yield the documents of an array of token ids as rows, each with a name.

    Raises:
        CorruptFile: When the file is damaged, or an id is below 0 or above 2^32.
        InputError: When a document is longer than there is room for.
    """
    file = token_file(path, config)
    tokenizer = _tokenizer(str(tokenizer_file(config))) if config.tokenizer else None
    lengths = file.ends - file.starts
    if TEXT_BYTES * int(lengths.max(initial=0)) > room():
        row = int(lengths.argmax())
        raise too_long(path, row, TEXT_BYTES * int(lengths[row]))
    group = np.cumsum(lengths) * TEXT_BYTES // max(1, batch_bytes)
    cuts = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(lengths)]
    for first, end in pairwise(cuts):
        if end > first:
            yield _records(file, slice(first, end), name, tokenizer)


def _records(file: TokenFile, part: slice, name: str, tokenizer: Tokenizer | None) -> Records:
    """Return some documents as records."""
    starts, ends = file.starts[part], file.ends[part]
    pieces = [file.ids[low:high] for low, high in zip(starts.tolist(), ends.tolist(), strict=True)]
    ids = _checked(np.concatenate(pieces), name)
    offsets = pa.array(np.cumsum([0, *map(len, pieces)]), pa.int32())
    tokens = pa.ListArray.from_arrays(offsets, pa.array(ids))
    if tokenizer is None:
        words = pa.ListArray.from_arrays(offsets, pa.array(ids).cast(pa.string()))
        texts = pc.binary_join(words, " ")
    else:
        lists = [piece.tolist() for piece in pieces]
        texts = pa.array(tokenizer.decode_batch(lists, skip_special_tokens=False), pa.string())
    rows = np.arange(part.start, part.start + len(pieces), dtype=np.int64)
    names = pa.array([f"{name}#{row}" for row in rows.tolist()], pa.string())
    priorities, rests = no_priorities(len(pieces))
    return Records(
        rows=rows,
        texts=texts.cast(pa.large_binary()),
        ids=names,
        sources=pa.nulls(len(pieces), pa.string()),
        priorities=priorities,
        rests=rests,
        columns=pa.RecordBatch.from_arrays([names, texts, tokens], schema=SCHEMA),
    )


def _checked(ids: np.ndarray, name: str) -> Uint32:
    """Return ids as they are written.

    Raises:
        CorruptFile: When one is none.
    """
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= 2**32):
        raise _damaged(name, "ids below 0 or above 2^32: another type?")
    return ids.astype(np.uint32)


def tokenizer_file(config: InputConfig) -> Path:
    """Return the tokenizer.json that ids are decoded by."""
    path = Path(config.tokenizer).expanduser()
    return path / "tokenizer.json" if path.is_dir() else path


def tokenizer_digest(config: InputConfig) -> str:
    """Return a digest of the tokenizer that ids are decoded by; empty without one.

    Raises:
        ConfigError: When it is not there.
    """
    if not config.tokenizer:
        return ""
    path = tokenizer_file(config)
    if not path.is_file():
        raise ConfigError(
            "There is no tokenizer where the settings name one.",
            where=f"input.tokenizer: {path}",
            expected="a tokenizer.json, or a folder with one",
            fix="name another, or none: each id is a word then",
        )
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


@lru_cache(4)
def _tokenizer(path: str) -> Tokenizer:
    return read_tokenizer(Path(path), "input.tokenizer")


def _damaged(path: str, found: str) -> CorruptFile:
    return CorruptFile(
        "An array of token ids cannot be read.",
        where=path,
        found=found,
        fix="repair or remove the file, or leave it out: --skip-bad-files",
    )
