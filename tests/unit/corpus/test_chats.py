"""Chat messages in the shapes that data sets have them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import check_shard, find_shards, read_documents
from pipeline.errors import SchemaMismatch

CHAT_SHAPES = [
    [
        {
            "role": "user",
            "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        }
    ],
    {"role": "user", "content": "one\ntwo"},
    ["one", None, "two"],
    [{"role": "user", "content": ["one", "two"]}],
    [{"from": "human", "value": "one"}, {"from": "gpt", "value": "two"}],
    [{"speaker": "A", "utterance": "one"}, {"speaker": "B", "utterance": "two"}],
    [{"role": "prompter", "text": "one"}, {"role": "assistant", "text": "two"}],
    [{"role": "user", "parts": [{"text": "one"}, {"text": "two"}]}],
]


def read(path, **config):
    """Return the texts of a file after its check, with all its columns read."""
    (shard,), _ = find_shards([str(path)])
    check_shard(shard, InputConfig(**config))
    batches = read_documents(shard, InputConfig(**config), everything=True)
    return [text for batch in batches for text in batch.texts.to_pylist()]


def write(path, row):
    """Write one row."""
    if path.suffix == ".jsonl":
        path.write_text(json.dumps(row) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([row]), path)


@pytest.mark.parametrize("chat", CHAT_SHAPES)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_chats_of_all_shapes_read_alike(tmp_path, chat, suffix):
    """Parts, single messages, lists of texts, other names: the same text from lines and Parquet."""
    path = tmp_path / f"x{suffix}"
    write(path, {"messages": chat})
    assert read(path, text_separator="\n") == ["one\ntwo"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("chat", [CHAT_SHAPES[1], *CHAT_SHAPES[4:]])
def test_a_column_of_chats_is_guessed_whatever_its_name(tmp_path, chat, suffix):
    """Its messages say who speaks; beside another text the choice is left to the user."""
    path = tmp_path / f"x{suffix}"
    row = {"thread": chat, "stars": "5"}
    write(path, row)
    assert read(path, text_separator="\n") == ["one\ntwo"]
    row["note"] = "a text of several words beside the chat"
    write(path, row)
    with pytest.raises(SchemaMismatch, match="No text column"):
        read(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_calls_of_tools_are_read_with_their_arguments(tmp_path, suffix):
    """A message that calls a tool says its name and its arguments; images say nothing."""
    call = {"id": "1", "function": {"name": "look", "arguments": '{"q": "tides"}'}}
    chat = [
        {"role": "user", "content": "when?", "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    path = tmp_path / f"x{suffix}"
    write(path, {"messages": chat})
    assert read(path, text_separator="\n") == ['when?\nlook {"q": "tides"}']
