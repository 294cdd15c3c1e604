"""What a scan will cost, told before by a look into the files, and refused where it is too much."""

import gzip
import json
import lzma
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_config
from pipeline.engine.memory import Plan
from pipeline.errors import ConfigError
from pipeline.expected import USUAL_SPEED, Expected, expected, in_words, seconds
from pipeline.outline import outline

WORDS = [f"word{number}" for number in range(500)]
ROWS = 1_200


def texts():
    """Return texts of 20 to 60 words."""
    draw = random.Random(1)  # noqa: S311
    return [" ".join(draw.choices(WORDS, k=draw.randint(20, 60))) for _ in range(ROWS)]


def write(folder, kind):
    """Write the texts as files of a kind."""
    rows = [{"id": f"number {n}", "text": text, "label": n} for n, text in enumerate(texts())]
    raw = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "parquet":
        for part in range(6):
            pq.write_table(pa.Table.from_pylist(rows[part::6]), folder / f"{part}.parquet")
    elif kind == "arrow":
        with pa.ipc.new_file(folder / "a.arrow", pa.Table.from_pylist(rows).schema) as file:
            file.write_table(pa.Table.from_pylist(rows))
    elif kind == "csv":
        lines = [f"{row['id']},{row['text']},{row['label']}\n" for row in rows]
        (folder / "a.csv").write_text("id,text,label\n" + "".join(lines))
    elif kind == "text":
        for row in rows[:300]:
            (folder / f"{row['id']}.txt").write_text(row["text"])
    elif kind == "lines":
        (folder / "a.txt").write_text("\n".join(row["text"] for row in rows))
    else:
        packed = {"jsonl": raw, "jsonl.gz": gzip.compress(raw), "jsonl.xz": lzma.compress(raw)}
        (folder / f"a.{kind}").write_bytes(packed[kind])


def look(folder, *settings):
    """Return what is told of a folder."""
    config = load_config(settings=settings)
    return expected(outline(folder.parent / "run", config, [str(folder)]).manifest, config)


@pytest.mark.parametrize(
    "kind", ["parquet", "arrow", "csv", "jsonl", "jsonl.gz", "jsonl.xz", "text", "lines"]
)
def test_text_and_rows_are_told_within_a_tenth(tmp_path, kind):
    """Whatever the format and the packing."""
    folder = tmp_path / "c"
    folder.mkdir()
    write(folder, kind)
    own = texts()[:300] if kind == "text" else texts()
    found = look(folder, *(["input.text_rows=line"] if kind == "lines" else []))
    assert found.documents == pytest.approx(len(own), rel=0.1)
    assert found.text_bytes == pytest.approx(sum(map(len, own)), rel=0.1)
    assert not (tmp_path / "run").exists()


def test_a_scan_that_has_no_room_is_refused_before_it_begins(tmp_path, scan):
    """The message tells how much it needs and which setting says so; more of it is enough."""
    folder = tmp_path / "c"
    folder.mkdir()
    write(folder, "parquet")
    with pytest.raises(ConfigError, match=r"limits\.disk") as refused:
        scan(folder, tmp_path / "run", "limits.disk=1MB")
    assert "found: 1 MB for 0.38 MB of text" in str(refused.value)
    assert not [*(tmp_path / "run").rglob("*.parquet")]
    done = scan(folder, tmp_path / "run", "limits.disk=3MB")
    size = sum(path.stat().st_size for path in done.folder.rglob("*") if path.is_file())
    assert size < look(folder).disk


def test_what_is_put_aside_is_what_memory_does_not_hold(tmp_path):
    """With a small budget the disk takes more for a while, and says so."""
    folder = tmp_path / "c"
    folder.mkdir()
    write(folder, "parquet")
    rich, config = look(folder), load_config()
    assert rich.spilled == 0
    poor = Expected(10**10, 10**6, 14 * 10**9, 11 * 10**9)
    assert (
        in_words(poor, Plan(10**9, 10**8, 10**8), config, ["scan"])[2]
        == "disk: about 14.0 GB for the run folder, for a while 11.0 GB more"
    )
    assert seconds(poor, config) > 100 * seconds(Expected(10**7, 1, 0, 0), config) / 4


def test_each_act_that_is_due_is_told(monkeypatch):
    """What a command will not do is not in its time, and only what writes tables takes disk."""
    monkeypatch.setattr("pipeline.expected._speed", lambda: USUAL_SPEED)
    found, memory = Expected(10**9, 10**5, 10**9, 0), Plan(10**9, 10**8, 10**8)
    config = load_config(settings=["limits.workers=2", "limits.memory=100GB"])
    whole = in_words(found, memory, config, ["scan", "score", "filter", "report"])
    assert whole[0] == (
        "about 1.0 GB of text in 100,000 rows: scan 29 s, filter 6 s, report 4 s, "
        "score: told when it begins"
    )
    told = in_words(found, memory, config, ["score"], 130.0)
    assert told[0] == "about 1.0 GB of text in 100,000 rows: score 2 min"
    assert in_words(found, memory, config, ["report"]) == [
        "about 1.0 GB of text in 100,000 rows: report 6 s",
        "memory: at least 100 MB, may use 1.0 GB (limits.memory)",
    ]


def test_no_file_is_read_whole(tmp_path, monkeypatch):
    """The union over the rows of JSON Lines, which takes a pass over the file, is not asked for."""
    folder = tmp_path / "c"
    folder.mkdir()
    write(folder, "jsonl")
    monkeypatch.setattr("pipeline.corpus.readers.whole_schema", None)
    assert look(folder).documents == pytest.approx(ROWS, rel=0.1)


def test_a_text_of_many_lines_is_one_row(tmp_path):
    """A CSV whose texts hold line breaks is told as no more text than it has bytes."""
    text = "\n".join(["a line of a long poem"] * 3000)
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "".join(f'"{n} {text}"\n' for n in range(40)))
    config = load_config()
    told = expected(outline(tmp_path / "run", config, [str(path)]).manifest, config)
    assert 0.5 * path.stat().st_size < told.text_bytes < 1.1 * path.stat().st_size
    assert 20 < told.documents < 80
