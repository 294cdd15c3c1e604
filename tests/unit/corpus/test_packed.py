"""Packed files of every kind."""

import bz2
import gzip
import lzma
from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents
from pipeline.errors import CorruptFile

PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    ".br": lambda data: pa.compress(data, "brotli", asbytes=True),
    ".lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
}


def read(path, **config):
    """Return the texts of a file after its check, with all its columns read."""
    (shard,), _ = find_shards([str(path)])
    check_shard(shard, InputConfig(**config))
    batches = read_documents(shard, InputConfig(**config), everything=True)
    return [text for batch in batches for text in batch.texts.to_pylist()]


@pytest.mark.parametrize("codec", PACKED)
def test_every_packing_is_read(tmp_path, codec):
    """Lines, CSV and texts; a packed file that is cut off is damaged."""
    for name, data in (
        ("a.jsonl", b'{"text": "one"}\n'),
        ("b.jsonlines", b'{"text": "one"}\n'),
        ("c.ndjson", b'{"text": "one"}\n'),
        ("d.csv", b"id,text\n1,one\n"),
        ("e.txt", b"one"),
        ("f.log", b"one"),
    ):
        path = tmp_path / f"{name}{codec}"
        path.write_bytes(PACKED[codec](data))
        assert read(path) == ["one"]
        path.write_bytes(path.read_bytes()[:-6])
        with pytest.raises(CorruptFile):
            read(path)
