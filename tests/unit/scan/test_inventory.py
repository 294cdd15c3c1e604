import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.corpus import content_digest
from pipeline.engine.progress import Silent
from pipeline.engine.shards import active_shards
from pipeline.errors import ConfigError, InputError, SchemaMismatch
from pipeline.run import new_manifest
from pipeline.scan.inventory import check_places, inventory, require_unchanged

CONFIG = load_config()


def registry():
    """Return the part of a new manifest that the inventory keeps."""
    return {"scan": 0, "corpus": {"roots": [], "skipped": {}, "shards": []}}


def take(manifest, corpus, *settings, verify=False):
    """Bring the registry up to date; give it content digests as the sketch would."""
    inventory(manifest, [str(corpus)], load_config(settings=settings), verify=verify)
    for entry in manifest["corpus"]["shards"]:
        if entry["content_digest"] is None:
            data = Path(entry["path"]).read_bytes()
            entry["content_digest"] = content_digest(Path(entry["path"]))
            entry.update(documents=data.count(b"\n"), rejected={})


def facts(manifest, *keys):
    """Return chosen facts of all shards of the registry."""
    return [tuple(shard[key] for key in keys) for shard in manifest["corpus"]["shards"]]


@pytest.fixture
def corpus(tmp_path, make_corpus):
    """Give a corpus of three shards."""
    return make_corpus(tmp_path / "c", {"b.jsonl": ["b"], "a.jsonl": ["a"], "d/c.jsonl": ["c"]})


def test_shards_are_numbered_by_name_and_registered(corpus):
    """A first inventory numbers by root-relative path and is scan 1; nothing is known of the
    content yet.
    """
    manifest = registry()
    inventory(manifest, [str(corpus)], CONFIG)
    assert facts(manifest, "number", "name", "group", "active", "content_digest") == [
        (0, "a.jsonl", 0, True, None),
        (1, "b.jsonl", 0, True, None),
        (2, "d/c.jsonl", 0, True, None),
    ]
    assert manifest["scan"] == 1
    assert manifest["corpus"]["roots"] == [str(corpus)]


def test_the_same_files_again_change_nothing(corpus):
    """An unchanged corpus keeps the registry, its digests and the number of the scan."""
    manifest = registry()
    take(manifest, corpus)
    before = facts(manifest, *manifest["corpus"]["shards"][0])
    inventory(manifest, [str(corpus)], CONFIG)
    assert facts(manifest, *manifest["corpus"]["shards"][0]) == before
    assert manifest["scan"] == 1


def test_an_unfinished_scan_is_not_counted_twice(corpus):
    """An inventory after a kill before the sketch is the same scan."""
    manifest = registry()
    inventory(manifest, [str(corpus)], CONFIG)
    inventory(manifest, [str(corpus)], CONFIG)
    assert manifest["scan"] == 1


def test_a_touched_file_keeps_its_digest_and_the_scan(corpus):
    """Another modification time with the same bytes is taken note of and changes nothing else."""
    manifest = registry()
    take(manifest, corpus)
    digests = facts(manifest, "content_digest", "documents")
    os.utime(corpus / "a.jsonl", ns=(1, 1))
    inventory(manifest, [str(corpus)], CONFIG)
    assert facts(manifest, "content_digest", "documents") == digests
    assert facts(manifest, "mtime_ns")[0] == (1,)
    assert manifest["scan"] == 1


def test_a_changed_file_loses_its_digest_alone(corpus):
    """New bytes make the content unknown until it is sketched; numbers and groups stay."""
    manifest = registry()
    take(manifest, corpus)
    places = facts(manifest, "number", "name", "group")
    (corpus / "b.jsonl").write_text('{"text": "other"}\n')
    inventory(manifest, [str(corpus)], CONFIG)
    assert facts(manifest, "number", "name", "group") == places
    assert [known is None for (known,) in facts(manifest, "content_digest")] == [False, True, False]
    assert manifest["corpus"]["shards"][1]["documents"] is None
    assert manifest["scan"] == 2


def test_a_change_that_size_and_time_hide_is_found_in_the_tail(corpus):
    """Same size, same time, other bytes near the end: the file is another one."""
    manifest = registry()
    take(manifest, corpus)
    facts_before = (corpus / "b.jsonl").stat()
    (corpus / "b.jsonl").write_text('{"text": "x"}\n')
    os.utime(corpus / "b.jsonl", ns=(facts_before.st_atime_ns, facts_before.st_mtime_ns))
    assert (corpus / "b.jsonl").stat().st_size == facts_before.st_size
    inventory(manifest, [str(corpus)], CONFIG)
    assert manifest["corpus"]["shards"][1]["content_digest"] is None


def test_verify_reads_what_size_time_and_tail_hide(tmp_path):
    """A change far from the end, size and time restored, is found with verify and only then."""
    corpus = tmp_path / "c"
    corpus.mkdir()
    path = corpus / "a.jsonl"
    lines = ['{"text": "first"}\n', *(f'{{"text": "{n:064}"}}\n' for n in range(2000))]
    path.write_text("".join(lines))
    manifest = registry()
    take(manifest, corpus)
    before = path.stat()
    path.write_text("".join(lines).replace("first", "FIRST"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    inventory(manifest, [str(corpus)], CONFIG)
    assert manifest["corpus"]["shards"][0]["content_digest"] is not None
    inventory(manifest, [str(corpus)], CONFIG, verify=True)
    assert manifest["corpus"]["shards"][0]["content_digest"] is None


def test_a_new_file_is_appended_whatever_its_name(corpus, make_corpus):
    """Known shards keep number and group; a new one comes after them, in a group of its own."""
    manifest = registry()
    take(manifest, corpus)
    make_corpus(corpus, {"0.jsonl": ["new"], "z.jsonl": ["new too"]})
    inventory(manifest, [str(corpus)], CONFIG)
    assert facts(manifest, "number", "name", "group") == [
        (0, "a.jsonl", 0),
        (1, "b.jsonl", 0),
        (2, "d/c.jsonl", 0),
        (3, "0.jsonl", 1),
        (4, "z.jsonl", 1),
    ]
    assert manifest["scan"] == 2


def test_a_vanished_file_is_retired_and_its_number_never_given_again(corpus, make_corpus):
    """Its entry stays, not active; a later file has a new number; the same file come back has its
    old one.
    """
    manifest = registry()
    take(manifest, corpus)
    shutil.move(corpus / "d" / "c.jsonl", corpus.parent / "away.jsonl")
    take(manifest, corpus)
    assert manifest["scan"] == 2
    assert [shard.name for shard in active_shards(manifest)] == ["a.jsonl", "b.jsonl"]
    make_corpus(corpus, {"e.jsonl": ["e"]})
    take(manifest, corpus)
    assert facts(manifest, "number", "name", "active") == [
        (0, "a.jsonl", True),
        (1, "b.jsonl", True),
        (2, "d/c.jsonl", False),
        (3, "e.jsonl", True),
    ]
    digest = manifest["corpus"]["shards"][2]["content_digest"]
    shutil.move(corpus.parent / "away.jsonl", corpus / "d" / "c.jsonl")
    inventory(manifest, [str(corpus)], CONFIG)
    entry = manifest["corpus"]["shards"][2]
    assert (entry["active"], entry["content_digest"]) == (True, digest)
    assert manifest["scan"] == 4


def test_groups_are_packed_by_bytes(tmp_path, monkeypatch):
    """A group takes shards in order until the next would be too much; a large one is alone."""
    monkeypatch.setattr("pipeline.scan.inventory.GROUP_BYTES", 100)
    sizes = {"a": 40, "b": 40, "c": 40, "d": 300, "e": 10, "f": 90}
    corpus = tmp_path / "c"
    corpus.mkdir()
    for name, size in sizes.items():
        (corpus / f"{name}.txt").write_text("x" * size)
    manifest = registry()
    inventory(manifest, [str(corpus)], CONFIG)
    assert [group for (group,) in facts(manifest, "group")] == [0, 0, 1, 2, 3, 3]


def test_groups_of_a_large_corpus_are_bounded(tmp_path, monkeypatch):
    """A group is a two-hundredth of what is added, and never larger than its bound."""
    monkeypatch.setattr("pipeline.scan.inventory.GROUP_BYTES", 1)
    monkeypatch.setattr("pipeline.scan.inventory.LARGEST_GROUP_BYTES", 100)
    corpus = tmp_path / "c"
    corpus.mkdir()
    for number in range(10):
        (corpus / f"{number}.txt").write_text("x" * 50)
    manifest = registry()
    monkeypatch.setattr("pipeline.scan.inventory.GROUPS_AT_MOST", 2)
    inventory(manifest, [str(corpus)], CONFIG)
    assert [group for (group,) in facts(manifest, "group")] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_numbers_are_never_given_twice(corpus, make_corpus, monkeypatch):
    """Where 24 bits do not do, more files are refused: their rows would have the keys of others."""
    manifest = registry()
    inventory(manifest, [str(corpus)], CONFIG)
    known = len(manifest["corpus"]["shards"])
    monkeypatch.setattr("pipeline.scan.inventory.MOST_SHARDS", known)
    inventory(manifest, [str(corpus)], CONFIG)
    make_corpus(corpus, {"one-more.jsonl": ["a"]})
    with pytest.raises(InputError, match="no numbers left") as refused:
        inventory(manifest, [str(corpus)], CONFIG)
    assert refused.value.where == "one-more.jsonl"


def test_groups_are_packed_by_number_too(tmp_path, make_corpus, monkeypatch):
    """A group takes no more than so many shards, however small."""
    monkeypatch.setattr("pipeline.scan.inventory.GROUP_SHARDS", 2)
    corpus = make_corpus(tmp_path / "c", {f"{n}.jsonl": ["x"] for n in range(5)})
    manifest = registry()
    inventory(manifest, [str(corpus)], CONFIG)
    assert [group for (group,) in facts(manifest, "group")] == [0, 0, 1, 1, 2]


def spoil(corpus):
    """Add two files that cannot be read."""
    (corpus / "bad.parquet").write_bytes(b"PAR1 nothing of the kind")
    (corpus / "worse.arrow").write_bytes(b"ARROW1")


def test_all_unreadable_files_are_named_before_anything_is_scanned(corpus):
    """One error names every bad file and what to do; the registry is as it was."""
    spoil(corpus)
    manifest = registry()
    with pytest.raises(InputError) as refused:
        inventory(manifest, [str(corpus)], CONFIG)
    assert "bad.parquet" in str(refused.value)
    assert "worse.arrow" in str(refused.value)
    assert "--skip-bad-files" in refused.value.fix
    assert manifest == registry()


def test_one_unreadable_file_gives_its_own_error(corpus):
    """A single bad file is reported with its own fault."""
    (corpus / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError) as refused:
        inventory(registry(), [str(corpus)], CONFIG)
    assert "bad.parquet" in refused.value.where


def test_bad_files_are_left_out_and_listed_when_asked(corpus):
    """With input.skip_bad_files the good ones are scanned and the manifest lists the others with
    their fault.
    """
    spoil(corpus)
    manifest = registry()
    inventory(manifest, [str(corpus)], load_config(settings=["input.skip_bad_files=true"]))
    assert [shard.name for shard in active_shards(manifest)] == ["a.jsonl", "b.jsonl", "d/c.jsonl"]
    assert list(manifest["corpus"]["skipped"]) == ["bad.parquet", "worse.arrow"]
    assert all(manifest["corpus"]["skipped"].values())


def test_a_corpus_of_bad_files_only_is_refused_even_then(tmp_path):
    """There must be something left to scan."""
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="No file of the corpus can be used"):
        inventory(registry(), [str(tmp_path)], load_config(settings=["input.skip_bad_files=true"]))


def test_a_shard_that_went_bad_is_retired(corpus):
    """A known file that cannot be read any more leaves the corpus when bad files are skipped."""
    manifest = registry()
    take(manifest, corpus)
    (corpus / "b.jsonl").unlink()
    (corpus / "b.jsonl").mkdir()
    (corpus / "bad.parquet").write_bytes(b"PAR1")
    inventory(manifest, [str(corpus)], load_config(settings=["input.skip_bad_files=true"]))
    assert facts(manifest, "name", "active")[1] == ("b.jsonl", False)


def test_changed_and_missing_shards_are_named_by_what_needs_them_unchanged(corpus):
    """Work on a scanned corpus refuses other bytes and lost files, and says which."""
    manifest = registry()
    take(manifest, corpus)
    require_unchanged(manifest)
    (corpus / "a.jsonl").write_text('{"text": "changed"}\n')
    (corpus / "d" / "c.jsonl").unlink()
    with pytest.raises(InputError, match="changed after it was scanned") as refused:
        require_unchanged(manifest)
    assert refused.value.where == "a.jsonl, d/c.jsonl"
    assert refused.value.found == "2 changed or missing files"
    assert "rote scan" in refused.value.fix


@pytest.mark.parametrize(
    ("corpus", "out"),
    [
        ("c", "c"),
        ("c", "c/run"),
        ("c", "c/a/b/run"),
        ("c/x/deep", "c"),
        ("c/a.jsonl", "c"),
        ("link", "c/run"),
    ],
)
def test_output_and_corpus_must_not_lie_in_one_another(tmp_path, corpus, out):
    """Refused however the two are named, links too, and nothing is made."""
    (tmp_path / "c" / "x" / "deep").mkdir(parents=True)
    (tmp_path / "c" / "a.jsonl").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "c")
    with pytest.raises(ConfigError, match="inside one another"):
        check_places([str(tmp_path / corpus)], tmp_path / out)


@pytest.mark.parametrize("out", ["run", "c2", "c.run", "other/c"])
def test_neighbouring_folders_are_fine(tmp_path, out):
    """A name that only starts like the corpus's is another folder."""
    (tmp_path / "c").mkdir()
    check_places([str(tmp_path / "c")], tmp_path / out)


def test_guessed_columns_are_said_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each guess of a column is told once, with the number of files that it holds for."""
    said: list[str] = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))
    (tmp_path / "a.jsonl").write_text('{"body": "some text", "id": "1"}\n')
    (tmp_path / "b.jsonl").write_text('{"body": "other text", "id": "2"}\n')
    inventory(new_manifest(), [str(tmp_path)], Config())
    assert said == ["guessed for 2 of 2 files: text = body, id = id"]
    (tmp_path / "c.jsonl").write_text('{"content": "one more text"}\n')
    inventory(new_manifest(), [str(tmp_path)], Config())
    assert said[1:] == [
        "guessed for 2 of 3 files: text = body, id = id",
        "guessed for c.jsonl: text = content",
    ]


def test_column_of_the_same_name_in_capitals_is_refused(tmp_path: Path) -> None:
    """SQL engines do not tell `Rote` from `rote`, so both are refused."""
    (tmp_path / "a.jsonl").write_text('{"text": "some text", "Rote": 1}\n')
    with pytest.raises(SchemaMismatch, match="name that rote adds"):
        inventory(new_manifest(), [str(tmp_path)], Config())


def test_empty_shard_has_nothing_to_guess(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without rows has no columns; it is in the corpus and nothing is said of it."""
    said: list[str] = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))
    (tmp_path / "a.jsonl").write_text("")
    manifest = new_manifest()
    inventory(manifest, [str(tmp_path)], Config())
    assert (said, [shard.name for shard in active_shards(manifest)]) == ([], ["a.jsonl"])


def test_verify_finds_a_change_that_size_time_and_tail_hide(tmp_path):
    """A corpus is held against its content hashes when asked, and trusted by its dates when not."""
    path = tmp_path / "c" / "a.jsonl"
    path.parent.mkdir()
    path.write_text(json.dumps({"text": "x" * 200_000}) + "\n")
    manifest = registry()
    take(manifest, path.parent)
    manifest["corpus"]["shards"][0]["content_digest"] = content_digest(path)
    require_unchanged(manifest, verify=True)
    before = path.stat()
    path.write_text(path.read_text().replace("x", "y", 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    require_unchanged(manifest)
    with pytest.raises(InputError, match="changed after it was scanned") as refused:
        require_unchanged(manifest, verify=True)
    assert refused.value.where == "a.jsonl"
    assert "--verify" in refused.value.fix


def test_what_came_went_and_changed_is_told(tmp_path, make_corpus, monkeypatch):
    """A shard that went by mistake is named; a first scan and one without a change say nothing."""
    said: list[str] = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))
    corpus = make_corpus(tmp_path / "c", {f"{n}.jsonl": [f"text {n}"] for n in range(6)})
    manifest = registry()
    take(manifest, corpus)
    take(manifest, corpus)
    assert not [text for text in said if "since" in text]
    for n in range(4):
        (corpus / f"{n}.jsonl").unlink()
    make_corpus(corpus, {"5.jsonl": ["another text"], "7.jsonl": ["a new one"]})
    take(manifest, corpus)
    (told,) = [text for text in said if "since" in text]
    assert told == (
        "shards since the last scan: 1 new (7.jsonl), "
        "4 gone (0.jsonl, 1.jsonl, 2.jsonl and 1 more), 1 changed (5.jsonl)"
    )
