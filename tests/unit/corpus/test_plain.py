"""Text files by file, by line and by paragraph."""

import lzma

import pytest

from pipeline.config.sections import InputConfig
from pipeline.corpus import find_shards, read_documents, shard_schema, text_rows
from pipeline.corpus.files import further
from pipeline.engine.progress import Silent

DATA = b"\xef\xbb\xbfone\r\ntwo\n\n \nthree\n\n\nf\xc3\xbcnf\nsix"


def read(path, rows, batch_bytes=1 << 20):
    """Return (row, id, text) of a file, and the values of its columns."""
    (shard,), _ = find_shards([str(path)])
    config = InputConfig(text_rows=rows)
    found: list[tuple[int, str, str]] = []
    columns: list[dict[str, str]] = []
    for batch in read_documents(shard, config, everything=True, batch_bytes=batch_bytes):
        found += zip(
            batch.rows.tolist(), batch.ids.to_pylist(), batch.texts.to_pylist(), strict=True
        )
        assert batch.columns is not None
        columns += batch.columns.to_pylist()
        assert batch.columns.schema == shard_schema(shard, config)
    return found, columns


@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
@pytest.mark.parametrize("suffix", [".txt", ".txt.xz"])
def test_lines_and_paragraphs_are_rows(tmp_path, suffix, batch_bytes):
    """Blank lines are none; rows are numbered and named, whatever the batches and the packing."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(lzma.compress(DATA) if suffix.endswith("xz") else DATA)
    found, columns = read(path, "line", batch_bytes)
    assert found == [
        (n, f"a{suffix}#{n}", text)
        for n, text in enumerate(["one", "two", "three", "f\u00fcnf", "six"])
    ]
    assert columns == [{"id": name, "text": text} for _, name, text in found]
    found, _ = read(path, "paragraph", batch_bytes)
    assert [text for _, _, text in found] == ["one\ntwo", "three", "f\u00fcnf\nsix"]
    assert read(path, "file")[0] == [(0, f"a{suffix}", DATA.decode())]
    assert text_rows(str(path)) == (5, 3)


def test_a_line_that_is_not_utf8_is_rejected_alone(tmp_path):
    """The other lines stay rows, under their own numbers."""
    (tmp_path / "a.txt").write_bytes(b"one\n\xff\nthree\n")
    (shard,), _ = find_shards([str(tmp_path / "a.txt")])
    (batch,) = read_documents(shard, InputConfig(text_rows="line"), everything=True)
    assert batch.texts.to_pylist() == ["one", "three"]
    assert [(item.row, item.reason) for item in batch.rejected] == [(1, "invalid_utf8")]


def test_the_rows_of_each_way_are_said(tmp_path, scan, monkeypatch):
    """A few text files are told by file, by line and by paragraph; with the setting they are so."""
    said: list[str] = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.txt").write_bytes(DATA)
    assert len(scan(tmp_path / "c", tmp_path / "run").table("kept")) == 1
    told = "text files: 1 rows, one each; by line 5, by paragraph 3 (input.text_rows)"
    assert told in said
    done = scan(tmp_path / "c", tmp_path / "run", "input.text_rows=line")
    assert done.table("kept")["text"].to_pylist() == ["one", "two", "three", "f\u00fcnf", "six"]
    assert said.count(told) == 1


def test_source_code_is_read_by_suffix(tmp_path):
    """Named suffixes are texts, a file a row; code stands for those of programming languages."""
    for name in ("a.py", "b.RS", "c.bin", "test/d.py", "README.md", "e.foo"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")

    def found(*suffixes):
        shards, _ = find_shards([str(tmp_path)], further(InputConfig(suffixes=suffixes)))
        assert {(shard.format, shard.split) for shard in shards} == {("text", None)}
        return [shard.name for shard in shards]

    assert found() == ["README.md"]
    assert found(".rs", ".foo") == ["README.md", "b.RS", "e.foo"]
    assert found("code") == ["README.md", "a.py", "b.RS", "test/d.py"]
    with pytest.raises(ValueError, match="suffixes"):
        InputConfig(suffixes=("py",))
