"""The fields of the rows of files that are held against a corpus."""

import pytest

from pipeline.config.sections import InputConfig
from pipeline.errors import ConfigError, SchemaMismatch
from pipeline.matching.fields import read_fields


def told(fields):
    """Return file, row, item, field, kind and text of each text."""
    return [tuple(row.values()) for row in fields.table.to_pylist()]


def test_questions_and_answers_and_roles_are_texts_of_their_own(tmp_path, make_corpus):
    """Columns of a known group, and what each role says in a chat; empty fields are left out."""
    chat = [{"role": "user", "content": "why"}, {"role": "assistant", "content": "because"}]
    make_corpus(
        tmp_path,
        {
            "chat.jsonl": [{"messages": [*chat, {"role": "user", "content": "so"}]}],
            "qa.parquet": [{"question": "what", "answer": "it"}, {"question": "", "answer": "x"}],
        },
    )
    fields = read_fields([str(tmp_path)], InputConfig())
    assert told(fields) == [
        (0, 0, 0, "messages.assistant", "answer", "because"),
        (0, 0, 0, "messages.user", "question", "why\n\nso"),
        (1, 0, 1, "answer", "answer", "it"),
        (1, 0, 1, "question", "question", "what"),
        (1, 1, 2, "answer", "answer", "x"),
    ]
    assert [(one.name, one.rows, one.columns) for one in fields.files] == [
        ("chat.jsonl", 1, ("messages",)),
        ("qa.parquet", 2, ("question", "answer")),
    ]


def test_columns_are_named_taken_from_the_corpus_or_guessed(tmp_path, make_corpus):
    """Named ones first, then those of the corpus where a file has them all, then a guess."""
    row = {"question": "what is it", "body": "a text of some words", "choices": ["a", "b"]}
    files = [str(make_corpus(tmp_path, {"a.jsonl": [row]}) / "a.jsonl")]
    corpus = InputConfig(text=("body",), id="name")
    assert [one[3] for one in told(read_fields(files, corpus))] == ["body"]
    named = read_fields(files, corpus, ("question", "choices"))
    assert [one[3:] for one in told(named)] == [
        ("choices", "text", "a\n\nb"),
        ("question", "question", "what is it"),
    ]
    with pytest.raises(SchemaMismatch, match="--columns"):
        read_fields(files, corpus, ("nowhere",))


def test_more_text_than_there_is_room_for_is_refused(tmp_path, make_corpus):
    """The bound is in bytes of text, and the message says which setting it comes from."""
    make_corpus(tmp_path, {"a.jsonl": ["word " * 100]})
    with pytest.raises(ConfigError, match=r"limits\.memory"):
        read_fields([str(tmp_path)], InputConfig(), most_bytes=100)
