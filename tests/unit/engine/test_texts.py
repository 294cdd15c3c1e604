"""Texts of some rows by key: in order, from the shards that hold one, no further than needed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import Shard, read_documents
from pipeline.engine import texts as module
from pipeline.engine.shards import row_keys
from pipeline.engine.texts import texts_of_rows
from pipeline.errors import CorruptFile

CONFIG = InputConfig()


def shard(folder, number, lines):
    """Write a shard of JSON Lines and return it."""
    path = folder / f"{number}.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return Shard(number, number, path.name, str(path), "jsonl", path.stat().st_size, 1, "digest")


@pytest.fixture
def shards(tmp_path):
    """Return three shards; the second has a row without a text between two documents."""
    rows = [
        [b'{"text": "a0"}', b'{"text": "a1"}'],
        [b'{"text": "b0"}', b'{"text": null}', b'{"text": "b2"}'],
        [b'{"text": "c0"}'],
    ]
    return [shard(tmp_path, number, lines) for number, lines in enumerate(rows)]


def keys(*places):
    """Return the keys of (shard, row) places."""
    return np.concatenate([row_keys(number, np.array([row])) for number, row in places])


def test_texts_come_in_the_order_of_shards_and_rows(shards):
    """Whatever the order of the keys, each once; a row that is no document is passed over."""
    wanted = keys((2, 0), (1, 2), (0, 1), (1, 2), (1, 1), (0, 9))
    found = list(texts_of_rows(shards, CONFIG, wanted))
    assert found == [(1, "a1"), ((1 << 40) + 2, "b2"), (2 << 40, "c0")]
    assert list(texts_of_rows(shards, CONFIG, np.zeros(0, np.uint64))) == []


def test_only_shards_that_hold_a_wanted_row_are_opened(shards, monkeypatch):
    """A retired shard's key opens none."""
    opened = []

    def opening(shard, config, **more):
        opened.append(shard.number)
        return read_documents(shard, config, **more)

    monkeypatch.setattr(module, "read_documents", opening)
    assert dict(texts_of_rows(shards, CONFIG, keys((1, 0), (7, 0)))) == {1 << 40: "b0"}
    assert opened == [1]


def test_a_shard_is_left_after_its_last_wanted_row(tmp_path, monkeypatch):
    """The batches behind it are not read, so damage there is not met; before it, it is raised."""
    lines = [b'{"text": "%d"}' % n for n in range(40)]
    own = shard(tmp_path, 0, lines)
    read = []

    def small(shard, config, **more):
        for batch in read_documents(shard, config, batch_bytes=64, **more):
            read.append(len(batch.rows))
            yield batch
        raise CorruptFile("damaged at its end", where=shard.name)

    monkeypatch.setattr(module, "read_documents", small)
    assert dict(texts_of_rows([own], CONFIG, keys((0, 0), (0, 1)))) == {0: "0", 1: "1"}
    assert sum(read) < 40
    with pytest.raises(CorruptFile, match="damaged"):
        list(texts_of_rows([own], CONFIG, keys((0, 99))))


def test_row_groups_without_a_wanted_row_are_passed_over(tmp_path):
    """A damaged group that holds no wanted row is not met; rows have their numbers in the file."""
    path = tmp_path / "a.parquet"
    rows = pa.table({"text": [f"text {n} {'x' * 300}" for n in range(40)]})
    pq.write_table(rows, path, row_group_size=10, use_dictionary=False, write_page_checksum=True)
    own = Shard(3, 0, path.name, str(path), "parquet", path.stat().st_size, 1, "digest")
    third = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    data[third.data_page_offset + third.total_compressed_size - 40] ^= 0xFF
    path.write_bytes(data)
    wanted = keys((3, 31), (3, 5), (3, 39), (3, 77))
    found = dict(texts_of_rows([own], CONFIG, wanted))
    assert {key & 0xFF: text[:7] for key, text in found.items()} == {
        5: "text 5 ",
        31: "text 31",
        39: "text 39",
    }
    with pytest.raises(CorruptFile):
        dict(texts_of_rows([own], CONFIG, keys((3, 25))))
