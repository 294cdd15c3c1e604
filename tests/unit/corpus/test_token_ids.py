"""Arrays of token ids: indexes of Megatron and datatrove, NumPy's headers, ids that end texts."""

import struct

import numpy as np
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents, shard_schema
from pipeline.corpus.files import Further
from pipeline.errors import ConfigError, CorruptFile, InputError, SchemaMismatch
from pipeline.score.proxy.tokenizer import train_tokenizer

DOCUMENTS = [[5, 6, 7, 0], [8, 0], [9, 65_000, 0]]
IDS = np.concatenate([np.array(one) for one in DOCUMENTS])


def megatron(folder, ids=IDS, documents=DOCUMENTS, code=8):
    """Write an array with the index that Megatron keeps beside it."""
    ids.astype("<u2").tofile(folder / "a.bin")
    lengths = [len(one) for one in documents]
    places = 2 * np.cumsum([0, *lengths])[:-1]
    head = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, code, len(lengths), len(lengths) + 1)
    parts = [np.array(lengths, "<i4"), np.array(places, "<i8"), np.arange(len(lengths) + 1)]
    (folder / "a.idx").write_bytes(head + b"".join(part.tobytes() for part in parts))
    return folder / "a.bin"


def datatrove(folder):
    """Write an array with the ends of its documents beside it."""
    IDS.astype("<u2").tofile(folder / "a.ds")
    np.cumsum([len(one) for one in DOCUMENTS]).astype("<u8").tofile(folder / "a.ds.index")
    return folder / "a.ds"


def numpy(folder):
    """Write an array with NumPy's header."""
    np.save(folder / "a.npy", IDS.astype(np.uint32))
    return folder / "a.npy"


def bare(folder):
    """Write an array and nothing else, the last document without an end."""
    IDS[:-1].astype("<u2").tofile(folder / "a.bin")
    return folder / "a.bin"


def rows(path, batch_bytes=1 << 20, **settings):
    """Return the rows of an array as they are read."""
    config = InputConfig(**{"tokens": "auto", **settings})
    (shard,), _ = find_shards([str(path)], Further(tokens=True))
    assert check_shard(shard, config) == shard_schema(shard, config)
    found = []
    for batch in read_documents(shard, config, everything=True, batch_bytes=batch_bytes):
        assert batch.columns is not None
        assert batch.columns.schema == shard_schema(shard, config)
        assert batch.columns["text"].to_pylist() == batch.texts.to_pylist()
        found += batch.columns.to_pylist()
    return found


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (megatron, {}),
        (datatrove, {}),
        (numpy, {"token_end": 0}),
        (bare, {"token_end": 0, "tokens": "uint16"}),
    ],
)
@pytest.mark.parametrize("batch_bytes", [1, 40, 1 << 20])
def test_each_document_is_a_row_of_its_ids(tmp_path, write, settings, batch_bytes):
    """Whatever tells where it ends; without a tokenizer each id is a word."""
    found = rows(write(tmp_path), batch_bytes, **{"token_end": 0, **settings})
    assert [row["tokens"] for row in found] == [one[:-1] for one in DOCUMENTS]
    assert [row["text"] for row in found] == ["5 6 7", "8", "9 65000"]
    name = next(path.name for path in tmp_path.iterdir() if path.suffix in (".bin", ".ds", ".npy"))
    assert [row["id"] for row in found] == [f"{name}#{row}" for row in range(3)]


def test_without_a_known_end_the_last_id_stays(tmp_path):
    """An index tells the ends, and no id is left out unasked; rows of a matrix are documents."""
    assert [row["tokens"] for row in rows(megatron(tmp_path))] == DOCUMENTS
    np.save(tmp_path / "b.npy", np.array([[1, 2], [3, 4]], np.int64))
    assert [row["text"] for row in rows(tmp_path / "b.npy")] == ["1 2", "3 4"]


def test_a_named_tokenizer_gives_the_text(tmp_path):
    """The text is what was encoded, and its ids stay beside it."""
    texts = ["one two three four", "f\u00fcnf sechs"]
    tokenizer = train_tokenizer(texts, 300)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    documents = [[*tokenizer.encode(text).ids, 0] for text in texts]
    path = megatron(tmp_path, np.concatenate([np.array(one) for one in documents]), documents)
    found = rows(path, tokenizer=str(tmp_path), token_end=0)
    assert [row["text"] for row in found] == texts
    assert [row["tokens"] for row in found] == [one[:-1] for one in documents]


def test_what_nothing_tells_is_asked_for(tmp_path):
    """The type of ids, and where a document ends; the setting is named."""
    path = bare(tmp_path)
    with pytest.raises(SchemaMismatch, match=r"input\.tokens"):
        rows(path, token_end=0)
    with pytest.raises(SchemaMismatch, match=r"input\.token_end"):
        rows(path, tokens="uint16")
    with pytest.raises(InputError, match=r"input\.tokens"):
        find_shards([str(path)])


def test_an_array_is_no_data_unless_asked_for(tmp_path):
    """In a folder it is left alone, and so is its index."""
    megatron(tmp_path)
    (tmp_path / "b.txt").write_text("text")
    shards, ignored = find_shards([str(tmp_path)])
    assert [shard.name for shard in shards] == ["b.txt"]
    assert len(ignored) == 2
    shards, _ = find_shards([str(tmp_path)], Further(tokens=True))
    assert [(shard.name, shard.format) for shard in shards] == [
        ("a.bin", "tokens"),
        ("b.txt", "text"),
    ]


@pytest.mark.parametrize("damage", ["half", "empty", "type", "long", "order"])
def test_a_damaged_index_is_refused(tmp_path, damage):
    """An index that is cut, of another array, or of documents that are not there."""
    path = megatron(tmp_path)
    index = tmp_path / "a.idx"
    raw = bytearray(index.read_bytes())
    if damage == "half":
        raw = raw[: len(raw) // 2]
    elif damage == "empty":
        raw = raw[:20]
    elif damage == "type":
        raw[17] = 6
    elif damage == "long":
        path.write_bytes(path.read_bytes()[:-2])
    else:
        raw[34:38] = struct.pack("<i", 1)
    index.write_bytes(raw)
    with pytest.raises(CorruptFile, match="token ids cannot be read"):
        rows(path)


def test_ids_below_zero_are_of_another_type(tmp_path):
    """Read as signed by mistake, an array is refused."""
    np.array([-1, 0], np.int32).tofile(tmp_path / "a.bin")
    with pytest.raises(CorruptFile, match="another type"):
        rows(tmp_path / "a.bin", tokens="int32", token_end=0)


def test_a_scan_counts_copies_of_ids(tmp_path, scan):
    """Equal documents are exact copies, a run of ids is a window, kept rows have their ids."""
    draw = np.random.default_rng(1)
    long = draw.integers(1, 60_000, 200)
    documents = [[*long, 0], [*long, 0], [*long[:120], *draw.integers(1, 60_000, 300), 0]]
    ids = np.concatenate([np.array(one) for one in documents])
    (tmp_path / "c").mkdir()
    megatron(tmp_path / "c", ids, documents)
    done = scan(tmp_path / "c", tmp_path / "run", "input.tokens=auto", "input.token_end=0")
    assert done.rows("counts", "exact_count", "words", "max_window_count") == [
        (2, 200, 3),
        (2, 200, 3),
        (1, 420, 3),
    ]
    kept = done.table("kept")
    assert [len(tokens) for tokens in kept["tokens"].to_pylist()] == [200, 420]


def test_a_tokenizer_that_is_not_there_is_refused_before_anything(tmp_path, scan):
    """The message names the setting."""
    (tmp_path / "c").mkdir()
    megatron(tmp_path / "c")
    missing = f"input.tokenizer={tmp_path / 'none'}"
    with pytest.raises(ConfigError, match=r"input\.tokenizer"):
        scan(tmp_path / "c", tmp_path / "run", "input.tokens=auto", missing)
    assert not (tmp_path / "run" / "sketch").exists()
