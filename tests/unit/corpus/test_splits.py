"""Splits and groups of files, as their paths tell them."""

import json

import pytest

from pipeline.corpus import find_shards
from pipeline.corpus.splits import split_of
from pipeline.errors import InputError


@pytest.mark.parametrize(
    ("path", "format", "expected"),
    [
        ("data/train-00000-of-00001.parquet", "parquet", "train"),
        ("data/test-00000-of-00001.parquet", "parquet", "test"),
        ("dev.jsonl", "jsonl", "validation"),
        ("val_v2.csv", "csv", "validation"),
        ("validation/en/a.jsonl", "jsonl", "validation"),
        ("my_eval_set.jsonl", "jsonl", "test"),
        ("train/test.jsonl", "jsonl", "test"),
        ("train_test.csv", "csv", None),
        ("training-data/latest.jsonl", "jsonl", "train"),
        ("contest.jsonl", "jsonl", None),
        ("a.jsonl", "jsonl", None),
        # the names of texts are about what is in them
        ("books/test.txt", "text", None),
        ("test/books/a.txt", "text", "test"),
    ],
)
def test_a_path_tells_its_split(path, format, expected):
    """A word of the file's name, else of the nearest folder; two of them tell none."""
    assert split_of(path.split("/"), format) == expected


def placed(folder, *files, roots=("c",)):
    """Write files of one row and return {name: (source group, split)}."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'{{"text": "{name}"}}\n')
    shards, _ = find_shards([str(folder / root) for root in roots])
    return {shard.name: (shard.source_group, shard.split) for shard in shards}


def test_several_splits_are_groups(tmp_path):
    """What tells no split is train beside what does; a folder that is the split is not doubled."""
    files = ("c/x/a.jsonl", "c/x/test-0.jsonl", "c/dev/b.jsonl", "c/top.jsonl")
    assert placed(tmp_path, *files) == {
        "x/a.jsonl": ("x/train", "train"),
        "x/test-0.jsonl": ("x/test", "test"),
        "dev/b.jsonl": ("dev/validation", "validation"),
        "top.jsonl": ("train", "train"),
    }


def test_a_corpus_of_one_split_has_none(tmp_path):
    """All files of one split, or none of any, are grouped by their folders."""
    files = ("c/train-0.jsonl", "c/x/train-1.jsonl")
    assert placed(tmp_path, *files) == {
        "train-0.jsonl": ("(top folder)", None),
        "x/train-1.jsonl": ("x", None),
    }


def test_each_root_is_a_group(tmp_path):
    """Folders given side by side keep their names; of one name, their paths; splits too."""
    files = ("webA/a.jsonl", "forumB/b.jsonl", "forumB/x/c.jsonl")
    assert placed(tmp_path, *files, roots=("webA", "forumB")) == {
        "a.jsonl": ("webA", None),
        "b.jsonl": ("forumB", None),
        "x/c.jsonl": ("forumB/x", None),
    }
    pair = ("one/part/a.jsonl", "two/part/b.jsonl")
    assert placed(tmp_path, *pair, roots=("one/part", "two/part")) == {
        "a.jsonl": ("one/part", None),
        "b.jsonl": ("two/part", None),
    }
    pair = ("s/train/a.jsonl", "s/test/b.jsonl")
    assert placed(tmp_path, *pair, roots=("s/train", "s/test")) == {
        "a.jsonl": ("train", "train"),
        "b.jsonl": ("test", "test"),
    }


def test_cards_and_notes_are_no_data(tmp_path):
    """Of a folder in the layout of the hub only the rows are read; a README among texts is one."""
    for name in ("README.md", "dataset_infos.json", "data/README.md", "state.json"):
        (tmp_path / "c" / "data").mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / name).write_text("{}")
    assert list(placed(tmp_path, "c/data/a.jsonl")) == ["data/a.jsonl", "state.json"]
    (tmp_path / "c" / "x.arrow").write_bytes(b"")
    shards, ignored = find_shards([str(tmp_path / "c")])
    assert [shard.name for shard in shards] == ["data/a.jsonl", "x.arrow"]
    assert len(ignored) == 4
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "README.md").write_text("a text")
    assert [shard.name for shard in find_shards([str(tmp_path / "notes")])[0]] == ["README.md"]
    named = find_shards([str(tmp_path / "c" / "README.md")])[0]
    assert [shard.name for shard in named] == ["README.md"]


@pytest.mark.parametrize("root", ["s3://bucket/folder", "gs://b/*.parquet", "https:/x.org/a.jsonl"])
def test_an_address_is_refused_as_one(root):
    """One that was not fetched is not taken for a path of this machine."""
    with pytest.raises(InputError, match="object storage") as refused:
        find_shards([root])
    assert refused.value.where == root


def test_caches_beside_a_saved_data_set_are_no_data(tmp_path):
    """Of a folder of `save_to_disk` the files that its state names are read, per split."""
    for split in ("train", "test"):
        folder = tmp_path / "c" / split
        folder.mkdir(parents=True)
        for name in ("data-00000-of-00001.arrow", "cache-471dbed2cdb2307d.arrow"):
            (folder / name).write_bytes(b"")
        (folder / "dataset_info.json").write_text("{}")
        saved = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None}
        (folder / "state.json").write_text(json.dumps(saved))
    (tmp_path / "c" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    shards, _ = find_shards([str(tmp_path / "c")])
    assert [(shard.name, shard.split) for shard in shards] == [
        ("test/data-00000-of-00001.arrow", "test"),
        ("train/data-00000-of-00001.arrow", "train"),
    ]
