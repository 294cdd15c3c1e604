import json
import shutil

import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.corpus.listing import listing_digest
from pipeline.corpus.places import local_places
from pipeline.errors import ConfigError, CorruptFile, InputError, TransientIOError
from pipeline.storage import addresses, fetching, mirror
from tests import s3_server


def rows(*texts):
    """Return JSON Lines with these texts."""
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def fetched(scratch, address="s3://data/corpus"):
    """Fetch an address; return the folder and the bytes of its files."""
    (place,) = local_places([address], str(scratch), lambda *_: None)
    folder = mirror.place_of(address, scratch, "corpora")
    assert str(folder) == place
    files = [path for path in folder.rglob("*") if path.is_file()]
    return folder, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_rote_reads_is_fetched_and_nothing_else(server, bucket, tmp_path):
    """Several pages of a list and files of several ranges; hidden and foreign names stay there."""
    wanted = {f"{n}.jsonl": rows(f"text {n}") for n in range(5)} | {"deep/er/x.txt": b"prose"}
    for name, data in {**wanted, "_SUCCESS": b"1", ".x/y.jsonl": b"{}", "z.exe": b"1"}.items():
        bucket.put(f"corpus/{name}", data)
    bucket.put("corpus/folder/", b"")
    bucket.put("corpus-of-others/0.jsonl", rows("no"))
    _, files = fetched(tmp_path)
    assert files == wanted
    assert len([one for one in server.requests if one[0] == "GET"]) == 4 + len(wanted)


def test_a_listing_of_an_address_asks_for_no_object(server, bucket):
    """One list, in pages; it changes with what rote reads there, and with nothing else."""
    bucket.put("corpus/0.jsonl", rows("one"))
    seen = [listing_digest(["s3://data/corpus"])]
    bucket.put("corpus/z.exe", b"1")
    assert listing_digest(["s3://data/corpus"]) == seen[0]
    bucket.put("corpus/0.jsonl", rows("two"))  # of the same size
    seen.append(listing_digest(["s3://data/corpus"]))
    bucket.put("corpus/1.jsonl", rows("three"))
    seen.append(listing_digest(["s3://data/corpus"]))
    assert len(set(seen)) == 3
    assert set(server.requests) == {("GET", "data/")}


def test_a_large_file_is_fetched_in_ranges(bucket, tmp_path, monkeypatch):
    """A file is put together from its ranges; a single file can be named itself."""
    monkeypatch.setattr(fetching, "RANGE_BYTES", 7)
    data = rows("a text that is longer than one range", "another")
    bucket.put("corpus/big.jsonl", data)
    folder, _ = fetched(tmp_path, "s3://data/corpus/big.jsonl")[0], None
    assert folder.name == "big.jsonl"
    assert folder.read_bytes() == data


def test_only_what_changed_is_fetched_again(server, bucket, tmp_path):
    """A changed object is fetched, a deleted one goes, the others are not asked for."""
    for n in range(3):
        bucket.put(f"corpus/{n}.jsonl", rows(f"text {n}"))
    folder, before = fetched(tmp_path)
    bucket.put("corpus/1.jsonl", rows("other"))
    del bucket["corpus/2.jsonl"]
    (folder / "0.jsonl").unlink()
    server.requests.clear()
    _, files = fetched(tmp_path)
    assert files == {"0.jsonl": before["0.jsonl"], "1.jsonl": rows("other")}
    assert [path for method, path in server.requests if not path.endswith("/")] == [
        "data/corpus/0.jsonl",
        "data/corpus/1.jsonl",
    ]


@pytest.mark.parametrize("wrong", ["500", "cut", "slow"])
def test_what_fails_once_is_asked_for_again(server, bucket, tmp_path, wrong):
    """An error of the server, a body that ends early and a slow one are got over."""
    bucket.put("corpus/0.jsonl", rows("text " * 2000))
    seen = []

    def fault(method, path):
        seen.append((method, path))
        return wrong if seen.count((method, path)) == 1 else None

    server.fault = fault
    _, files = fetched(tmp_path)
    assert files == {"0.jsonl": rows("text " * 2000)}


def test_an_object_written_meanwhile_is_not_mixed(bucket, tmp_path, monkeypatch):
    """When the tag changes between two ranges nothing is taken, and the former copy stays."""
    bucket.put("corpus/0.jsonl", rows("the first"))
    folder, before = fetched(tmp_path)
    bucket.put("corpus/0.jsonl", rows("the second one"))
    monkeypatch.setattr(fetching, "RANGE_BYTES", 8)
    monkeypatch.setattr(mirror, "AT_ONCE", 1)
    read = addresses._ObjectStore.read

    def changing(self, name, start, end, tag=""):
        if start:
            bucket.put("corpus/0.jsonl", rows("and a third"))
        return read(self, name, start, end, tag)

    monkeypatch.setattr(addresses._ObjectStore, "read", changing)
    with pytest.raises((CorruptFile, InputError, TransientIOError)):
        fetched(tmp_path)
    assert (folder / "0.jsonl").read_bytes() == before["0.jsonl"]


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("s3://nowhere/x", InputError, "Nothing lies at an address"),
        ("s3://data/none", InputError, "Nothing lies at an address"),
        ("s3:/data/corpus", ConfigError, "two slashes"),
        ("s3://me:word@data/corpus", ConfigError, "may not hold an account"),
        ("unheard-of://data/corpus", ConfigError, "No installed library"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_a_wrong_address_is_one_message(tmp_path, address, error, said):
    """Each names the address, and none a password."""
    with pytest.raises(error) as found:
        fetched(tmp_path, address)
    assert said in str(found.value)
    assert "word" not in str(found.value).replace("password", "")


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken", "InvalidAccessKeyId"])
def test_refused_access_is_one_message_without_the_key(server, bucket, tmp_path, code):
    """What the server said is its code alone; no secret is in the message."""
    bucket.put("corpus/0.jsonl", rows("x"))
    server.fault = lambda _method, _path: code
    with pytest.raises(InputError) as found:
        fetched(tmp_path)
    assert "s3://data/corpus" in str(found.value)
    assert s3_server.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in str(found.value)
    assert s3_server.ENVIRONMENT["AWS_ACCESS_KEY_ID"] not in str(found.value)


def test_names_that_lead_out_are_refused(bucket, tmp_path):
    """An object cannot be written outside the folder of its address."""
    bucket.put("corpus/0.jsonl", rows("x"))
    bucket["corpus/a/../../../evil.jsonl"] = bucket["corpus/0.jsonl"]
    with pytest.raises(InputError):
        fetched(tmp_path)
    assert not [*tmp_path.rglob("evil.jsonl")]


def test_any_other_storage_is_read_by_fsspec(tmp_path):
    """An address that only fsspec knows."""
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe("/corpus/0.jsonl", rows("from memory"))
    _, found = fetched(tmp_path, "memory://corpus/")
    assert found == {"0.jsonl": rows("from memory")}


def test_a_full_disk_is_foreseen(bucket, tmp_path, monkeypatch):
    """Too little room is told before anything is fetched."""
    bucket.put("corpus/0.jsonl", rows("x"))
    monkeypatch.setattr(mirror, "SPARE_BYTES", shutil.disk_usage(tmp_path).total)
    with pytest.raises(ConfigError, match="too little room"):
        fetched(tmp_path)


def tables(run, folder):
    """Return the bytes of the files of a folder of a run."""
    paths = (run.folder / folder).rglob("*.parquet")
    return {path.relative_to(run.folder): path.read_bytes() for path in paths}


def test_a_scan_of_a_bucket_is_a_scan_of_the_folder(bucket, tmp_path, make_corpus, scan):
    """The same files at an address and in a folder give the same bytes; the address is recorded."""
    scratch = f"limits.scratch={tmp_path / 'scratch'}"
    words = " ".join(f"w{n}" for n in range(60))
    files = {"a.jsonl": [words, "one"], "sub/b.jsonl": [f"{words} more", words]}
    corpus = make_corpus(tmp_path / "corpus", files)
    for path in corpus.rglob("*.jsonl"):
        bucket.put(f"corpus/{path.relative_to(corpus).as_posix()}", path.read_bytes())
    here = scan(corpus, tmp_path / "here")
    there = scan("s3://data/corpus", tmp_path / "there", scratch)
    assert there.manifest["corpus"]["roots"] == ["s3://data/corpus"]
    for folder in ("kept", "removed", "counts", "documents"):
        assert tables(here, folder) == tables(there, folder) != {}
    shutil.rmtree(tmp_path / "scratch")
    with run.session(there.folder, load_config(), LocalMapper(1)) as session:
        run.filter_rows(session)  # fetched again, where the scan had left it
    assert len([*(tmp_path / "scratch").rglob("*.jsonl")]) == 2
    bucket.put("corpus/a.jsonl", rows("changed"))
    with (
        run.session(there.folder, load_config(), LocalMapper(1)) as session,
        pytest.raises(InputError, match="changed after it was scanned"),
    ):
        run.filter_rows(session)
    assert "top-secret" not in (there.folder / "manifest.json").read_text()
