"""Standard input as a corpus: stored beside the run, under the suffix of what it is."""

import io
import sys

import pytest

from flows.standard_input import stored, with_input
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b'{"text": "x"}\n', ".jsonl"),
        (b"\xef\xbb\xbf [{}]", ".jsonl"),
        (b"PAR1....", ".parquet"),
        (b"some text", ".txt"),
    ],
)
def test_its_first_bytes_say_the_format(tmp_path, data, suffix):
    """All of it is in a file beside the run folder, and nothing else is there."""
    path = stored(io.BytesIO(data), tmp_path / "run")
    assert path == tmp_path / f"run.stdin{suffix}"
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_the_dash_stands_for_it(tmp_path, monkeypatch):
    """Other parts of the corpus stay; empty input and a plan are refused."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    found = with_input(("a", "@-"), tmp_path / "run")
    assert found == ("a", str(tmp_path / "run.stdin.txt"))
    with pytest.raises(ConfigError, match="is empty"):
        with_input(("@-",), tmp_path / "run")
    with pytest.raises(ConfigError, match="cannot be read for this"):
        with_input(("@-",), tmp_path / "run", dry_run=True)
    assert with_input(("a",), tmp_path / "run", dry_run=True) == ("a",)
