from functools import partial

import pyarrow as pa
import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import Columns, resolve_columns
from pipeline.corpus.columns import looks_like_text
from pipeline.errors import SchemaMismatch

TEXT = pa.string()
CHAT = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))


def resolve(columns, format="parquet", **config):
    """Return the columns resolved for a schema."""
    return resolve_columns(pa.schema(columns), InputConfig(**config), "x.parquet", format)


def test_the_first_known_text_name_is_guessed():
    """The order is that of the list of names, not of the file."""
    schema = {"body": TEXT, "content": TEXT, "id": pa.int64(), "domain": TEXT, "dataset": TEXT}
    assert resolve(schema) == Columns(("content",), "id", "dataset", None, ("text", "id", "source"))


@pytest.mark.parametrize("name", ["text", "content", "body", "document", "raw_content"])
def test_each_known_text_name_is_guessed(name):
    """Every name of the list is taken before another string column; no id and no source is fine."""
    assert resolve({"other": TEXT, name: TEXT}) == Columns((name,), None, None, None, ("text",))


@pytest.mark.parametrize("name", ["messages", "conversations"])
def test_a_chat_list_is_guessed_after_text_names(name):
    """A list of role and content is text."""
    assert resolve({"other": TEXT, name: CHAT}).text == (name,)


def test_the_only_string_column_is_guessed():
    """A column that already is the id or the source is not the text."""
    assert resolve({"n": pa.int64(), "question": TEXT}).text == ("question",)
    assert resolve({"id": TEXT, "question": TEXT, "source": TEXT}).text == ("question",)


def test_without_a_guess_the_columns_are_listed():
    """The message names the columns with their types and the setting to use."""
    with pytest.raises(SchemaMismatch) as caught:
        resolve({"q": TEXT, "a": TEXT, "n": pa.int64()})
    assert caught.value.found == "q: string, a: string, n: int64"
    assert caught.value.fix == "--set input.text=NAME"
    assert caught.value.where == "x.parquet"


def test_a_field_of_a_column_is_proposed_by_its_name():
    """Pairs of languages have no column that is the text, but fields that could be."""
    with pytest.raises(SchemaMismatch) as caught:
        resolve({"translation": pa.struct([("en", TEXT), ("de", TEXT), ("n", pa.int64())])})
    assert caught.value.fix == (
        "--set input.text=NAME; a field of a column too, as translation.en or translation.de"
    )


def test_urls_and_nested_columns_are_no_source():
    """A url is not guessed as a source, nor is a struct or a list as id or source."""
    schema = {"text": TEXT, "url": TEXT, "id": pa.list_(TEXT), "source": pa.struct([("a", TEXT)])}
    assert resolve(schema) == Columns(("text",), None, None, None, ("text",))


@pytest.mark.parametrize("kind", [pa.int64(), pa.list_(pa.int8()), pa.struct([("a", TEXT)])])
def test_a_text_column_of_another_type_is_refused(kind):
    """Guessed or configured, a text column holds text, bytes or messages."""
    for config in ({}, {"text": ("text",)}):
        with pytest.raises(SchemaMismatch) as caught:
            resolve({"text": kind, "id": TEXT}, **config)
        assert caught.value.where == "x.parquet, column text"
        assert caught.value.found == str(kind)


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
        pa.dictionary(pa.int32(), TEXT), pa.large_list(CHAT.value_type),
        pa.list_(CHAT.value_type, 2),
    ],
)  # fmt: skip
def test_every_string_and_bytes_type_is_text(kind):
    """Width, view, dictionary and bytes do not matter."""
    assert resolve({"text": kind}).text == ("text",)


@pytest.mark.parametrize(
    ("role", "value"), [("text", ("t", "b")), ("id", "b"), ("source", "b"), ("priority", "b")]
)
def test_a_configured_column_that_is_missing_is_named(role, value):
    """The message names file, role and column and lists what there is."""
    with pytest.raises(SchemaMismatch) as caught:
        resolve({"t": TEXT, "n": pa.int8()}, **{"text": ("t",), role: value})
    assert caught.value.what == f"The {role} column is missing."
    assert caught.value.where == "x.parquet, column b"
    assert caught.value.found == "t: string, n: int8"
    assert caught.value.fix == f"--set input.{role}=NAME"


def test_configured_columns_are_not_guesses():
    """What is configured is taken and not listed as guessed."""
    schema = {"a": TEXT, "b": TEXT, "k": pa.int64(), "s": TEXT, "p": pa.float32()}
    config = {"text": ("a", "b"), "id": "k", "source": "s", "priority": "p"}
    assert resolve(schema, **config) == Columns(("a", "b"), "k", "s", "p", ())


def test_id_source_and_priority_have_fitting_types():
    """Ids and sources are single values, priorities are numbers."""
    for role, kind in (
        ("id", CHAT),
        ("source", CHAT),
        ("priority", TEXT),
        ("priority", pa.bool_()),
    ):
        with pytest.raises(SchemaMismatch, match="A column has a type"):
            resolve({"text": TEXT, "c": kind}, **{role: "c"})
    for kind in (pa.int8(), pa.uint64(), pa.float16(), pa.decimal128(5, 2)):
        assert resolve({"text": TEXT, "c": kind}, priority="c").priority == "c"


def test_doubled_names_are_refused():
    """Which of two equal columns is meant cannot be known."""
    with pytest.raises(SchemaMismatch) as caught:
        resolve([("text", TEXT), ("a", TEXT), ("a", TEXT)])
    assert caught.value.found == "a"


def test_json_lines_text_types_are_left_to_the_rows():
    """In JSON Lines a row of a wrong type is rejected, the file is not."""
    assert resolve({"text": pa.int64()}, format="jsonl").text == ("text",)


def test_text_files_have_fixed_columns():
    """Column settings are for the other formats of the same corpus."""
    assert resolve({"id": TEXT, "text": TEXT}, format="text", text=("body",), id="k") == Columns(
        ("text",), "id", None, None, ()
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"writing", b"maths", b"coding"] * 10, False),
        ([b"a question of several words, number %d" % n for n in range(30)], True),
        ([b"550e8400-e29b-41d4-a716-4466554400%02d" % n for n in range(30)], False),
        ([b"https://example.org/a/long/address/%d" % n for n in range(30)], False),
        ([b"Ada Lovelace", b"Alan Turing", b"Grace Hopper"], False),
        (["\u4e2d\u6587\u6587\u672c\u4e00\u4e8c\u4e09\u56db\u4e94".encode()] * 1, True),
        ([b"the same few words each and every time"] * 30, False),
        ([b"the same long text each time " * 10] * 30, True),
        ([None, b""], False),
        ([], False),
    ],
)
def test_only_what_looks_like_text_is_guessed(values, expected):
    """Labels, names, addresses and keys are never taken for the text."""
    assert looks_like_text(values) == expected
    resolve = partial(resolve_columns, pa.schema({"c": TEXT}), InputConfig(), "x", "parquet")
    if expected:
        assert resolve(lambda _: values).text == ("c",)
    else:
        with pytest.raises(SchemaMismatch, match="No text column"):
            resolve(lambda _: values)


def test_of_several_string_columns_the_one_that_looks_like_text_is_guessed():
    """Two of them are refused, and counted."""
    long = [b"a question of several words, number %d" % n for n in range(30)]
    values = {"label": [b"yes", b"no"] * 15, "q": long, "r": long}
    schema = pa.schema({"label": TEXT, "q": TEXT})
    assert resolve_columns(schema, InputConfig(), "x", "csv", values.__getitem__).text == ("q",)
    schema = pa.schema({"label": TEXT, "q": TEXT, "r": TEXT})
    with pytest.raises(SchemaMismatch) as caught:
        resolve_columns(schema, InputConfig(), "x", "csv", values.__getitem__)
    assert caught.value.expected.endswith("several words (there are 2: q, r)")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["instruction", "input", "output"], ("instruction", "input", "output")),
        (["output", "instruction", "n"], ("instruction", "output")),
        (["prompt", "completion", "extra"], ("prompt", "completion")),
        (["Question", "ANSWER", "category"], ("Question", "ANSWER")),
        (["problem", "solution"], ("problem", "solution")),
        (["chosen", "rejected"], ("chosen", "rejected")),
        (["prompt", "chosen", "rejected"], ("prompt", "chosen", "rejected")),
        (["Title", "TEXT"], ("TEXT",)),
        (["Question", "Text"], ("Text",)),
    ],
)
def test_known_groups_are_joined_in_any_case(names, expected):
    """The columns of fine-tuning sets, in the order of reading; capitals do not matter."""
    assert resolve(dict.fromkeys(names, TEXT)).text == expected
