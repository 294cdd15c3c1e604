import hashlib
import json
import os

import pytest

from pipeline.corpus import content_digest, find_shards, identify
from pipeline.corpus.files import Further
from pipeline.corpus.shards import is_read
from pipeline.errors import InputError


def make(folder, *names):
    """Write a small file under each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")


def names(*corpus):
    """Return the shard names of a corpus."""
    return [shard.name for shard in find_shards([str(root) for root in corpus])[0]]


def test_a_folder_is_read_recursively_and_sorted_by_name(tmp_path):
    """Names are root-relative with slashes, numbers count in order of name, the group is 0."""
    make(tmp_path, "b.jsonl", "a/z.parquet", "a/b/c.csv.gz")
    shards, ignored = find_shards([str(tmp_path)])
    assert [(s.number, s.group, s.name) for s in shards] == [
        (0, 0, "a/b/c.csv.gz"),
        (1, 0, "a/z.parquet"),
        (2, 0, "b.jsonl"),
    ]
    assert ignored == []


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("x.parquet", "parquet"),
        ("x.pq", "parquet"),
        ("x.jsonl", "jsonl"),
        ("x.ndjson.gz", "jsonl"),
        ("x.json.zst", "jsonl"),
        ("x.arrow", "arrow"),
        ("x.ipc", "arrow"),
        ("x.feather", "arrow"),
        ("x.csv.zst", "csv"),
        ("x.TSV.GZ", "csv"),
        ("x.txt", "text"),
        ("x.md", "text"),
        ("x.text", "text"),
    ],
)
def test_the_suffix_says_the_format(tmp_path, name, format):
    """Each known suffix, in any case, is one format; JSON Lines and CSV may be compressed."""
    make(tmp_path, name)
    (shard,) = find_shards([str(tmp_path / name)])[0]
    assert (shard.name, shard.format) == (name, format)


def test_underscores_are_names_in_source_trees(tmp_path):
    """For suffixes that were asked for; what tools leave beside rows stays ignored."""
    inside = ("a/__init__.py", "a/_vendor/b.py", "a/_vendor/c.jsonl", "_x.jsonl", ".d.py", "e.py")
    make(tmp_path, *inside)
    more = Further(frozenset({".py"}))
    found, ignored = find_shards([str(tmp_path)], more)
    assert [shard.name for shard in found] == ["a/__init__.py", "a/_vendor/b.py", "e.py"]
    assert ignored == [str(tmp_path / name) for name in (".d.py", "_x.jsonl", "a/_vendor/c.jsonl")]
    globbed, _ = find_shards([str(tmp_path / "**" / "*.py")], more)
    assert [shard.name for shard in globbed] == [shard.name for shard in found]
    assert [name for name in inside if is_read(name, more)] == [*inside[:2], "e.py"]
    assert [name for name in inside if is_read(name)] == []
    with pytest.raises(InputError, match="no file that rote reads"):
        find_shards([str(tmp_path)])


def test_hidden_and_unknown_files_are_ignored_and_returned(tmp_path):
    """In a folder `.x`, `_x` and unknown suffixes are not read, and the plan can say so."""
    make(
        tmp_path, "a.txt", ".b.txt", "_c.txt", "d.png", "e.png.gz", "_delta_log/f.txt", ".git/g.txt"
    )
    shards, ignored = find_shards([str(tmp_path)])
    assert [shard.name for shard in shards] == ["a.txt"]
    assert ignored == [
        str(tmp_path / name)
        for name in (".b.txt", ".git", "_c.txt", "_delta_log", "d.png", "e.png.gz")
    ]


def test_a_named_file_of_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    """A file that the user named is never ignored in silence."""
    make(tmp_path, "a.doc")
    with pytest.raises(InputError) as caught:
        find_shards([str(tmp_path / "a.doc")])
    assert caught.value.found == ".doc"
    assert ".parquet .pq .jsonl" in caught.value.expected
    assert ".tsv .txt" in caught.value.expected.partition("behind")[2]
    assert ".zst" in caught.value.expected.partition("also")[2]


def test_what_leads_to_nothing_is_refused(tmp_path):
    """A missing path, an empty glob, an empty folder and one without readable files are errors."""
    (tmp_path / "empty").mkdir()
    make(tmp_path, "other/x.png")
    for root, what in (
        ("missing", "The corpus does not exist."),
        ("*.parquet", "A glob matches nothing."),
        ("empty", "The corpus folder is empty."),
        ("other", "The corpus holds no file that rote reads."),
        ("other/*", "The corpus holds no file that rote reads."),
    ):
        with pytest.raises(InputError) as caught:
            find_shards([str(tmp_path / root)])
        assert caught.value.what == what
        assert str(tmp_path / root) in caught.value.where
    with pytest.raises(InputError, match="No corpus was named"):
        find_shards([])


def test_globs_name_files_from_their_fixed_folder(tmp_path):
    """A glob's root is the folder before its first wildcard; hidden matches are ignored."""
    make(tmp_path, "in/a/x.txt", "in/b/x.txt", "in/_b/x.txt", "in/c.txt")
    assert names(tmp_path / "in/*/x.txt") == ["a/x.txt", "b/x.txt"]
    assert names(tmp_path / "in/**/*.txt") == ["a/x.txt", "b/x.txt", "c.txt"]
    assert names(tmp_path / "in/a*") == ["a/x.txt"]


def test_a_glob_of_many_parts_has_an_end(tmp_path):
    """Parts ** in a row are one; more than a few apart would match one path without end."""
    make(tmp_path, *(f"in/{'a/' * deep}x.txt" for deep in range(12)))
    assert names(f"{tmp_path}/in/{'**/' * 500}*.txt") == names(tmp_path / "in/**/*.txt")
    with pytest.raises(InputError, match="too many parts") as refused:
        find_shards([f"{tmp_path}/in/{'**/*/' * 20}*.txt"])
    assert refused.value.found == "20 parts **"


def test_a_file_named_like_a_glob_is_that_file(tmp_path):
    """A path that exists is taken as it is, brackets or not."""
    make(tmp_path, "a[1].txt")
    assert names(tmp_path / "a[1].txt") == ["a[1].txt"]


def test_a_file_reached_twice_is_one_shard(tmp_path):
    """Folder, subfolder, file, glob and link lead to one shard, named from the outermost root."""
    make(tmp_path, "in/a/x.txt")
    (tmp_path / "in/a/y.txt").symlink_to(tmp_path / "in/a/x.txt")
    roots = ["in", "in/a", "in/a/x.txt", "in/**/*.txt"]
    assert names(*(tmp_path / root for root in roots)) == ["a/x.txt"]
    assert names(*(tmp_path / root for root in reversed(roots))) == ["a/x.txt"]


def test_a_link_without_suffix_target_is_read_by_its_own_name(tmp_path):
    """Download caches link names with suffixes to blobs without."""
    make(tmp_path, "blobs/1234")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/x.parquet").symlink_to(tmp_path / "blobs/1234")
    (shard,) = find_shards([str(tmp_path / "in")])[0]
    assert shard.path == str(tmp_path / "in/x.parquet")


def test_linked_folders_are_followed_without_looping(tmp_path):
    """A folder linked into the corpus belongs to it; a link to its own parent ends."""
    make(tmp_path, "in/a.txt", "elsewhere/b.txt")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    assert names(tmp_path / "in") == ["a.txt", "linked/b.txt"]


def test_clashing_names_become_relative_to_the_common_parent(tmp_path):
    """Two roots with equal names inside rename every shard, also those that do not clash."""
    make(tmp_path, "one/x.txt", "two/x.txt", "two/y.txt")
    assert names(tmp_path / "one", tmp_path / "two") == ["one/x.txt", "two/x.txt", "two/y.txt"]
    assert names(tmp_path / "one", tmp_path / "two/y.txt") == ["x.txt", "y.txt"]
    assert names(tmp_path / "one/x.txt", tmp_path / "two/x.txt") == ["one/x.txt", "two/x.txt"]


def test_a_run_folder_is_ignored_inside_and_refused_by_name(tmp_path):
    """Output of rote is never read as corpus; another program's manifest.json is no obstacle."""
    make(tmp_path, "in/a.txt", "in/run/kept/b.parquet", "in/other/c.txt")
    (tmp_path / "in/run/manifest.json").write_text(json.dumps({"rote": 1}))
    (tmp_path / "in/other/manifest.json").write_text("[]")
    shards, ignored = find_shards([str(tmp_path / "in")])
    assert [shard.name for shard in shards] == ["a.txt", "other/c.txt", "other/manifest.json"]
    assert ignored == [str(tmp_path / "in/run")]
    assert names(tmp_path / "in/**/*.txt") == ["a.txt", "other/c.txt"]
    for inside in ("in/run", "in/run/kept", "in/run/kept/b.parquet", "in/run/kept/*.parquet"):
        with pytest.raises(InputError) as caught:
            find_shards([str(tmp_path / inside)])
        assert caught.value.what == "The corpus lies in a run folder of rote."


def test_identity_is_size_time_and_the_digest_of_the_tail(tmp_path):
    """The last 64 KiB, the size and the time are looked at; the content digest sees all bytes."""
    path = tmp_path / "x.txt"
    data = b"a" + b"b" * 65_536
    path.write_bytes(data)
    os.utime(path, ns=(5, 1_000_000_007))
    tail = hashlib.blake2b(b"b" * 65_536, digest_size=16).hexdigest()
    assert identify(path) == (65_537, 1_000_000_007, tail)
    assert content_digest(path) == hashlib.blake2b(data, digest_size=16).hexdigest()
    (shard,) = find_shards([str(path)])[0]
    assert (shard.bytes, shard.mtime_ns, shard.tail_digest) == (65_537, 1_000_000_007, tail)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    """A name must fit a table; the message shows it escaped."""
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("x")
    with pytest.raises(InputError, match="A file name is not UTF-8") as caught:
        find_shards([str(tmp_path)])
    assert "\\udcff.txt" in caught.value.where


def test_a_list_stands_for_the_paths_in_it(tmp_path):
    """Relative ones from its folder, globs too; names are below it, and what is missing is said."""
    for name in ("c/a.jsonl", "c/deep/b.txt", "c/deep/c.txt", "other/d.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    named = tmp_path / "c" / "list.txt"
    named.write_text("a.jsonl\n\n# a comment\ndeep/*.txt\n")
    assert [s.name for s in find_shards([f"@{named}"])[0]] == [
        "a.jsonl",
        "deep/b.txt",
        "deep/c.txt",
    ]
    named.write_text(f"a.jsonl\n{tmp_path / 'other/d.csv'}\n")
    assert [s.name for s in find_shards([f"@{named}"])[0]] == ["a.jsonl", "d.csv"]
    for text, said in (("gone.txt\n", "does not exist"), ("\n", "is empty")):
        named.write_text(text)
        with pytest.raises(InputError, match=said):
            find_shards([f"@{named}"])
    with pytest.raises(InputError, match="cannot be read"):
        find_shards([f"@{tmp_path / 'none.txt'}"])
