"""The sample corpus: repeatable, readable, and with planted cases whose counts are exact."""

import gzip
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, ipc, parquet
from pyarrow import json as arrow_json

from pipeline.config.load import load_config
from pipeline.errors import ConfigError, InputError
from pipeline.sample import SETTINGS, PlantedCase, Roots, SampleSummary, gather

Made = tuple[Path, SampleSummary, dict[str, str | None]]
APACHE_LIKE = "Permission is granted to the holder to use this work, with no warranty.\n" * 9
CSV_HOSTILE = 'a, "quoted" field\nand a second line,\r\nthen a third; ' + "word " * 20


def machine(tmp_path: Path) -> Roots:
    """Make a small machine: a library, two packages, documents, and files to be passed over."""
    files = {
        "lib/json/decoder.py": b"def decode(text):\n    return text\n" * 40,
        "lib/pydoc_data/topics.py": (
            b"topics = {'with': 'this is not a literal' * 9, 'raise SystemExit': 5,\n"
            b" 'try': '" + b"The try statement names handlers. " * 9 + b"'}"
        ),
        "lib/site-packages/never.py": b"x = 'found through the package folders only, not twice'\n",
        "lib/latin.py": b"# caf\xe9 " * 40,
        "lib/binary.py": b"x = 1\0" * 40,
        "lib/huge.py": b"x = 1234567\n" * 20_000,
        "lib/short.py": b"x = 1\n",
        "pkg/one/a.py": b"class One:\n    '''A thing.'''\n" * 30,
        "pkg/one-1.0.dist-info/METADATA": b"Name: one\nVersion: 1.0\n\n"
        + b"One is a package. " * 20,
        "pkg/one-1.0.dist-info/LICENSE": APACHE_LIKE.encode(),
        "pkg/two-2.0.dist-info/licenses/LICENSE": APACHE_LIKE.encode(),
        "pkg/two/table.md": CSV_HOSTILE.encode(),
        "pkg/pipeline/run.py": b"# rote itself, which the sample leaves out\n" * 20,
        "doc/tool/README.gz": gzip.compress(b"The tool turns the handle slowly.\n" * 20),
        "doc/tool/changelog.gz": b"\x1f\x8bnot a gzip file, though its name says so" * 3,
        "man/man1/tool.1.gz": gzip.compress(b".TH TOOL 1\nturns the handle\n" * 20),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Roots(
        stdlib=tmp_path / "lib",
        packages=(tmp_path / "pkg",),
        documents=tmp_path / "doc",
        licences=tmp_path / "no-such-folder",
        manuals=tmp_path / "man",
    )


def bare(tmp_path: Path) -> Roots:
    """Make a machine without any text."""
    none = tmp_path / "nothing"
    return Roots(none, (none,), none, none, none)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read one file with pyarrow alone, in the way its name says."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pylist()
    if path.suffix == ".arrow":
        return ipc.open_file(str(path)).read_all().to_pylist()
    if path.suffix == ".csv":
        parse = csv.ParseOptions(newlines_in_values=True)
        return csv.read_csv(path, parse_options=parse).to_pylist()
    if path.suffix == ".txt":
        return [{"id": f"notes/{path.name}", "text": path.read_bytes().decode()}]
    with pa.input_stream(str(path)) as stream:
        return arrow_json.read_json(io.BytesIO(stream.read())).to_pylist()


def texts_of(folder: Path, summary: SampleSummary) -> dict[str, str | None]:
    """Return the text of each id, after checking that no id comes twice and no row is missing."""
    rows = [row for name in summary.files for row in rows_of(folder / name)]
    texts = {str(row["id"]): row["text"] for row in rows}
    assert len(texts) == len(rows) == summary.documents
    return texts


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file under a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, SampleSummary, dict[str, str | None]]:
    """One sample of the small machine, with the text of each of its documents."""
    tmp_path = tmp_path_factory.mktemp("sample")
    summary = gather(tmp_path / "out", 1, roots=machine(tmp_path))
    return tmp_path / "out", summary, texts_of(tmp_path / "out", summary)


def kinds(summary: SampleSummary, kind: str) -> list[PlantedCase]:
    """Return the planted cases of one kind."""
    return [case for case in summary.planted if case.kind == kind]


def words(text: str) -> list[str]:
    """Return the lower-case words of an unspectacular text."""
    return re.findall(r"\w+", text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the runs of five words."""
    run = words(text)
    return {tuple(run[i : i + 5]) for i in range(len(run) - 4)}


def jaccard(a: str, b: str) -> float:
    """Return the exact Jaccard of two shingle sets."""
    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


def test_same_machine_same_seed_same_bytes(tmp_path: Path) -> None:
    """Two samples of one machine agree in every byte, and another seed gives others."""
    roots = machine(tmp_path)
    gather(tmp_path / "a", 1, roots=roots)
    gather(tmp_path / "b", 1, roots=roots)
    gather(tmp_path / "c", 1, seed=2, roots=roots)
    first = contents(tmp_path / "a")
    assert first == contents(tmp_path / "b")
    assert first["part-00.parquet"] != contents(tmp_path / "c")["part-00.parquet"]


def test_every_format_is_readable_and_complete(made: Made) -> None:
    """Each format is there, and pyarrow reads as many bytes of text as the summary names."""
    folder, summary, texts = made
    assert summary.files[:8] == (
        "lines-00.jsonl",
        "lines-01.jsonl.gz",
        "lines-02.jsonl.zst",
        "notes/chinese.txt",
        "notes/japanese.txt",
        "notes/korean.txt",
        "notes/topics-try.txt",
        "part-00.parquet",
    )
    assert summary.files[-2:] == ("table-00.arrow", "table-01.csv")
    assert sum(len((text or "").encode()) for text in texts.values()) == summary.text_bytes
    assert all(rows_of(folder / name) for name in summary.files)
    assert set(contents(folder)) == {*summary.files, "_SAMPLE.json", "_SAMPLE.toml"}


def test_meta_is_a_nested_column(made: Made) -> None:
    """Parquet, Arrow and JSON Lines carry the struct with its list."""
    folder, summary, _ = made
    nested = {
        name for name in summary.files if name.endswith((".parquet", ".arrow", ".jsonl", ".gz"))
    }
    rows = [row for name in nested for row in rows_of(folder / name)]
    assert all(set(row["meta"]) == {"package", "lines", "tags"} for row in rows)
    by_id = {row["id"]: row["meta"] for row in rows}
    assert by_id["planted/empty/0"] == {"package": None, "lines": 0, "tags": []}


def test_dose_families_occur_exactly_as_often_as_they_say(made: Made) -> None:
    """Two families of each dose, one whole and one framed, occur just that often."""
    _, summary, texts = made
    counts = Counter(texts.values())
    everything = "\n".join(text for text in texts.values() if text)
    cases = kinds(summary, "whole") + kinds(summary, "passage")
    assert sorted(case.dose for case in cases) == sorted([1, 2, 4, 8, 16, 32, 64, 128] * 2)
    for case in cases:
        copies = [texts[doc_id] or "" for doc_id in case.ids]
        assert len(set(case.ids)) == case.dose
        if case.kind == "whole":
            assert len(set(copies)) == 1
            assert counts[copies[0]] == case.dose
            assert 52 <= len(words(copies[0])) <= 60
        else:
            assert len(set(copies)) == case.dose
            middle = " ".join(copies[0].split(" ")[9:-9])
            assert everything.count(middle) == case.dose


def test_framed_copies_share_a_window_and_stay_a_family(made: Made) -> None:
    """Framed copies share a run of 52 words or more and have a Jaccard between 0.5 and 0.8."""
    _, summary, texts = made
    (case,) = (case for case in kinds(summary, "passage") if case.dose == 128)
    first = texts[case.ids[0]] or ""
    windows = {tuple(words(first)[i : i + 52]) for i in range(len(words(first)) - 51)}
    for doc_id in case.ids[1:]:
        run = words(texts[doc_id] or "")
        assert windows & {tuple(run[i : i + 52]) for i in range(len(run) - 51)}
        assert 0.5 < jaccard(first, texts[doc_id] or "") < 0.8


def test_near_copies_span_the_threshold(made: Made) -> None:
    """Twenty edited pairs lie on both sides of 0.8: light edits above, heavy ones below."""
    _, summary, texts = made
    found = {
        case.detail: jaccard(texts[case.ids[0]] or "", texts[case.ids[1]] or "")
        for case in kinds(summary, "near")
        if case.family.startswith("near/")
    }
    assert len(found) == 20
    assert min(found["insert 0.005"], found["delete 0.005"], found["append 0.1"]) > 0.9
    assert found["substitute 0.1"] < 0.5


def test_contained_short_and_cjk_cases(made: Made) -> None:
    """An inner text lies in its outer one, short copies repeat, three scripts have copies."""
    _, summary, texts = made
    contained = kinds(summary, "contained")
    assert len(contained) == 6
    assert all((texts[case.ids[0]] or "-") in (texts[case.ids[1]] or "") for case in contained)
    assert [texts[doc_id] for doc_id in kinds(summary, "short")[2].ids] == [
        "No.",
        "no",
        "No.",
        "No.",
    ]
    assert [case.dose for case in kinds(summary, "short")] == [2, 2, 3]
    counts = Counter(texts.values())
    for case in kinds(summary, "cjk"):
        assert counts[texts[case.ids[0]]] == case.dose
    assert [case.dose for case in kinds(summary, "cjk")] == [3, 1, 1] * 3
    near = [case for case in kinds(summary, "near") if case.detail.startswith("near copy")]
    assert len(near) == 9
    assert all(texts[case.ids[0]] != texts[case.ids[1]] for case in near)


def test_empty_and_null_texts_are_planted(made: Made) -> None:
    """Four empty and four null texts wait for `rejected/`, in Parquet and in JSON Lines."""
    _, summary, texts = made
    assert [texts[doc_id] for case in kinds(summary, "empty") for doc_id in case.ids] == [""] * 4
    assert [texts[doc_id] for case in kinds(summary, "null") for doc_id in case.ids] == [None] * 4


def test_natural_text_is_taken_as_it_is(made: Made) -> None:
    """Real files come through byte for byte, named by group; what is not fit text is left out."""
    _, summary, texts = made
    natural = {i for i in texts if not i.startswith(("planted/", "notes/"))}
    assert natural == {
        "stdlib/json/decoder.py",
        "packages/one/a.py",
        "packages/two/table.md",
        "descriptions/one",
        "licences/one-1.0.dist-info/LICENSE",
        "licences/two-2.0.dist-info/licenses/LICENSE",
        "debian/tool/README.gz",
        "manuals/man1/tool.1.gz",
    }
    assert texts["packages/two/table.md"] == CSV_HOSTILE
    assert texts["descriptions/one"] == "One is a package. " * 20
    assert texts["debian/tool/README.gz"] == "The tool turns the handle slowly.\n" * 20
    assert texts["notes/topics-try.txt"] == "The try statement names handlers. " * 9
    licences = [text for doc_id, text in texts.items() if doc_id.startswith("licences/")]
    assert licences == [APACHE_LIKE, APACHE_LIKE]
    assert summary.sources["licences"] == 2


def test_bare_machine_still_gives_a_corpus(tmp_path: Path) -> None:
    """Without any source there are the planted cases, in all formats, and nothing fails."""
    summary = gather(tmp_path / "out", 1, roots=bare(tmp_path))
    assert summary.sources.keys() == {"notes", "planted"}
    assert sum(name.endswith(".txt") for name in summary.files) == 3
    assert len(texts_of(tmp_path / "out", summary)) == summary.documents > 500


def test_finished_sample_is_left_alone(tmp_path: Path) -> None:
    """A second call gives the same summary from the marker and touches no file."""
    roots = bare(tmp_path)
    first = gather(tmp_path / "out", 1, roots=roots)
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    assert gather(tmp_path / "out", 1, roots=machine(tmp_path)) == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == stamps


def test_interrupted_sample_is_made_again(tmp_path: Path) -> None:
    """An unfinished folder is ours: its files are replaced, stale ones go, others stay."""
    folder, roots = tmp_path / "out", bare(tmp_path)
    gather(tmp_path / "whole", 1, roots=roots)
    (folder / "notes").mkdir(parents=True)
    (folder / "notes/old.txt").write_text("from the interrupted sample")
    (folder / "part-00.parquet").write_bytes(b"half a fi")
    (tmp_path / "outside.txt").write_text("not ours")
    begun = ["notes/old.txt", "part-00.parquet", "../outside.txt"]
    marker = {"made_by": "rote sample", "finished": False, "files": begun}
    (folder / "_SAMPLE.json").write_text(json.dumps(marker))
    gather(folder, 1, roots=roots)
    assert contents(folder) == contents(tmp_path / "whole")
    assert (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize(
    "marker", [None, "[]", '{"made_by": "someone"}', '{"made_by": "rote s', "{}"]
)
def test_foreign_folder_is_refused_untouched(tmp_path: Path, marker: str | None) -> None:
    """A folder with other files, or another _SAMPLE.json, is refused and not written to."""
    (tmp_path / "thesis.txt").write_text("years of work")
    if marker is not None:
        (tmp_path / "_SAMPLE.json").write_text(marker)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="holds something else"):
        gather(tmp_path, 1, roots=bare(tmp_path))
    assert contents(tmp_path) == before


def test_a_file_or_other_settings_are_refused(tmp_path: Path) -> None:
    """A file in its place, a sample of another seed and an impossible size are named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file"):
        gather(tmp_path / "file", 1, roots=bare(tmp_path))
    gather(tmp_path / "out", 1, roots=bare(tmp_path))
    with pytest.raises(InputError, match=r"seed 1(.|\n)*seed 2"):
        gather(tmp_path / "out", 1, seed=2, roots=bare(tmp_path))
    with pytest.raises(ConfigError, match="1 to 200"):
        gather(tmp_path / "other", 0, roots=bare(tmp_path))


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    """A folder that exists and is empty is taken."""
    (tmp_path / "out").mkdir()
    assert gather(tmp_path / "out", 1, roots=bare(tmp_path)).documents > 500


def test_this_machine_gives_the_size_asked_for(tmp_path: Path) -> None:
    """What is installed here gives the 4 MB asked for within 3%, from several sources."""
    summary = gather(tmp_path / "out", 4)
    assert 3_880_000 <= summary.text_bytes <= 4_000_000
    assert {"stdlib", "packages", "topics", "descriptions", "licences"} <= summary.sources.keys()
    assert summary.lines()[0] == (
        f"{summary.text_bytes / 1e6:.1f} MB, {summary.documents:,} documents, "
        f"{len(summary.files)} files"
    )


def test_the_settings_of_a_sample_show_planted_cases_apart(tmp_path):
    """They load as they stand, are made again where they are missing, and are no shard."""
    folder = tmp_path / "sample"
    summary = gather(folder, 1, roots=bare(tmp_path))
    place = folder / SETTINGS
    assert load_config(place).report.apart == ("planted",)
    assert "planted" in summary.sources
    place.unlink()
    assert gather(folder, 1, roots=bare(tmp_path)) == summary
    assert load_config(place).report.title == "Sample of the text on this machine"
    assert SETTINGS not in summary.files
