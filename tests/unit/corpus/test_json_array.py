"""The elements of JSON arrays."""

import json

import pytest

from pipeline.corpus.json_array import elements
from pipeline.errors import CorruptFile


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_elements_are_those_of_json_whatever_the_blocks(size):
    """Brackets, commas and quotes in strings are no ends; bad elements are judged by themselves."""
    values = [{"a": 'x, ] } [ { \\ " \u00e9'}, [1, [2]], "s,]", 3, None, {"b": {"c": [{}]}}, {}]
    data = json.dumps(values, indent=1).encode() + b"\n"
    blocks = (data[start : start + size] for start in range(0, len(data), size))
    assert [json.loads(one) for one in elements(blocks, "x")] == values
    assert list(elements([b"[nonsense, {}]"], "x")) == [b"nonsense", b"{}"]
    assert list(elements([b" [ ] "], "x")) == []


@pytest.mark.parametrize("data", [b'[{"a": 1}, {"a"', b'[{"a": 1},', b'[{"a": 1}] [2]', b"[1] x"])
def test_an_array_that_is_not_whole_is_damage(data):
    """A file that was cut off, or goes on after its array, is refused by name."""
    with pytest.raises(CorruptFile, match="does not end where its file does") as refused:
        list(elements([data], "x.json"))
    assert refused.value.where == "x.json"
