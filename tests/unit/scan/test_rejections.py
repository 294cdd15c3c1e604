from typing import Any

import pytest

from pipeline.config.sections import InputConfig
from pipeline.errors import InputError
from pipeline.scan.rejections import require_documents

GOOD = [f"a text number {n} of its own" for n in range(30)]


def count(done, table):
    """Return the rows of a table of a run, by its manifest."""
    outputs = done.manifest["outputs"].values()
    records = [record for entry in outputs for record in entry["files"]]
    return sum(record["rows"] for record in records if record["table"] == table)


def test_a_corpus_of_rejected_rows_only_names_the_setting(tmp_path, make_corpus, scan):
    """Empty texts beside full ones of another column: the scan ends and says what to try."""
    rows = [{"id": n, "text": "", "body": f"words {n}"} for n in range(20)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    with pytest.raises(InputError, match="No row is left") as refused:
        scan(corpus, tmp_path / "run")
    assert refused.value.where == "a.jsonl"
    assert refused.value.found == "20 of 20 rows rejected: 20 empty_text"
    assert "--set input.text=NAME (there are: text, body)" in refused.value.fix
    assert count(scan(corpus, tmp_path / "run", "input.text=body"), "kept") == 20


def test_more_rejected_rows_than_allowed_stop_the_scan(tmp_path, make_corpus, scan):
    """The share is a setting, and no stage is done again for it."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [*GOOD[:3], *({"text": None},) * 4]})
    with pytest.raises(InputError, match="Most rows of the corpus are no documents") as refused:
        scan(corpus, tmp_path / "run")
    assert refused.value.expected == "at most 50% of the rows rejected"
    done = scan(corpus, tmp_path / "run", "input.most_rejected=0.6")
    assert count(done, "kept") == 3
    assert "sketch/g00000" not in done.performed


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!doctype html>\n<h1>404</h1>\n", "2 not_json"),
        (b"version https://example.org/spec/v1\noid sha256:00\nsize 9\n", "3 not_json"),
        (b'["one", "two"]\n["three"]\n', "2 not_json"),
        (b"null\n12\ntrue\n", "3 not_json"),
        ('{"text": "a"}\n'.encode("utf-16-le"), "2 not_json"),
        (b"{}\n" * 12, "12 null_text"),
    ],
)
def test_a_file_without_a_document_is_named(tmp_path, make_corpus, scan, content, reason):
    """Beside a good file it stops the scan, and with --skip-bad-files its rows are rejected."""
    corpus = make_corpus(tmp_path / "c", {"good.jsonl": GOOD})
    (corpus / "odd.jsonl").write_bytes(content)
    with pytest.raises(InputError, match="All rows of a file were rejected") as refused:
        scan(corpus, tmp_path / "run")
    assert (refused.value.where, refused.value.found) == ("odd.jsonl", reason)
    assert "--skip-bad-files" in refused.value.fix
    done = scan(corpus, tmp_path / "run", "input.skip_bad_files=true")
    assert count(done, "kept") == 30
    assert count(done, "rejected") == int(reason.split()[0])


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"{}\n{}\n", b'{"text": null}\n'])
def test_a_few_bad_rows_or_none_are_no_fault_of_a_file(tmp_path, make_corpus, scan, content):
    """Empty files and single bad rows are what corpora have; cut-spans has nothing to cut there."""
    corpus = make_corpus(tmp_path / "c", {"good.jsonl": GOOD})
    (corpus / "odd.jsonl").write_bytes(content)
    done = scan(corpus, tmp_path / "run", 'policy.rules=["drop-copies", "cut-spans"]')
    assert count(done, "kept") == 30


def test_empty_text_files_are_no_fault(tmp_path, scan):
    """A text file is one row, so an empty one is one bad row."""
    for n, text in enumerate([*GOOD, ""]):
        (tmp_path / f"{n:02}.txt").write_text(text)
    done = scan(tmp_path, tmp_path.with_name("run"))
    assert (count(done, "kept"), count(done, "rejected")) == (30, 1)


def test_more_documents_than_numbers_are_refused():
    """Windows and candidates number documents by 32 bits: one more would be taken for the first."""
    shards: list[Any] = [
        {"name": name, "active": True, "documents": count, "rejected": {}, "format": "parquet"}
        for name, count in (("a", 2**31), ("b", 2**31 - 1))
    ]
    manifest = {"corpus": {"shards": shards}}
    require_documents(manifest, InputConfig())
    shards[1]["documents"] += 1
    with pytest.raises(InputError, match="more documents than can be numbered") as refused:
        require_documents(manifest, InputConfig())
    assert refused.value.found == "4,294,967,296 documents"
