"""A corpus larger than the scratch folder: its files come when they are read, and go again."""

import errno
import os
import random
import shutil
import threading
import time

import pytest

from flows.runners import LocalMapper, units_on
from pipeline import run
from pipeline.config.load import load_config
from pipeline.corpus.files import reading
from pipeline.corpus.places import local_places
from pipeline.errors import ConfigError, InputError, RunFolderError
from pipeline.inspect.explain import explain
from pipeline.storage import lent, mirror
from pipeline.storage.fetching import UNFINISHED
from tests.unit.storage.test_mirror import rows, tables

ADDRESS = "s3://data/corpus"
FILES = 9


@pytest.fixture(autouse=True)
def _forgotten():
    """Each test is a process that has not lent yet."""
    lent._LENT.clear()


@pytest.fixture
def corpus(bucket, tmp_path, make_corpus):
    """Give a folder of files of some 4 KB, with copies across them, that the bucket has too."""
    draw = random.Random(3)  # noqa: S311
    own = [" ".join(f"w{draw.randrange(10**6)}" for _ in range(60)) for _ in range(4 * FILES)]
    files = {
        f"{n // 3}/{n}.jsonl": [*own[4 * n : 4 * n + 4], own[0], f"{own[5]} {n}"]
        for n in range(FILES)
    }
    folder = make_corpus(tmp_path / "corpus", files)
    for path in folder.rglob("*.jsonl"):
        bucket.put(f"corpus/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return folder


def there(scratch):
    """Return the bytes of the copies that are there."""
    place = mirror.place_of(ADDRESS, scratch, "corpora")
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def test_a_scan_through_little_room_gives_the_same_bytes(server, corpus, tmp_path, scan):
    """Every table is that of a folder, and no more is there than the room; then no request."""
    scratch, most = tmp_path / "scratch", []
    size = max(path.stat().st_size for path in corpus.rglob("*.jsonl"))
    settings = (f"limits.scratch={scratch}", f"limits.scratch_disk={3 * size}", "limits.workers=1")
    here = scan(corpus, tmp_path / "here")
    server.fault = lambda _method, _path: most.append(there(scratch))
    run_there = scan(ADDRESS, tmp_path / "there", *settings)
    for folder in ("words", "counts", "documents", "kept", "removed"):
        assert tables(here, folder) == tables(run_there, folder) != {}
    assert max(most) <= 3 * size < sum(path.stat().st_size for path in corpus.rglob("*.jsonl"))
    assert there(scratch) <= 3 * size
    server.requests.clear()
    lent._LENT.clear()
    scan(ADDRESS, tmp_path / "there", *settings)
    assert {path for _, path in server.requests} == {"data/"}  # lists alone


def test_a_command_that_lent_nothing_finds_what_it_reads(corpus, tmp_path, scan):
    """Another process fetches what a scan let go; a deleted scratch folder is begun anew."""
    scratch = tmp_path / "scratch"
    settings = (f"limits.scratch={scratch}", "limits.scratch_disk=9KB")
    there_run = scan(ADDRESS, tmp_path / "there", *settings)
    for path in corpus.rglob("*.jsonl"):
        lent._LENT.clear()
        copy = mirror.place_of(ADDRESS, scratch, "corpora") / path.relative_to(corpus)
        with reading(str(copy)):
            assert copy.read_bytes() == path.read_bytes()
    lent._LENT.clear()
    assert "2/8.jsonl" in explain(there_run.folder, "2/8.jsonl#1")
    shutil.rmtree(scratch)
    lent._LENT.clear()
    with run.session(there_run.folder, load_config(settings=settings), LocalMapper(2)) as session:
        run.filter_rows(session)
    assert there(scratch) <= 9_000


@pytest.mark.usefixtures("corpus")
def test_an_object_written_meanwhile_is_told(bucket, tmp_path):
    """The bytes of another version than was listed are not given; the next listing mends it."""
    scratch, told = tmp_path / "scratch", lambda *_: None
    (place,) = local_places([ADDRESS], str(scratch), told, room=9_000)
    path = mirror.place_of(ADDRESS, scratch, "corpora") / "0/0.jsonl"
    bucket.put("corpus/0/0.jsonl", rows("another text"))
    with pytest.raises(InputError), reading(str(path)):
        pass
    assert path.stat().st_size == 0
    assert local_places([ADDRESS], str(scratch), told, room=9_000) == [place]
    with reading(str(path)):
        assert path.read_bytes() == rows("another text")


def test_many_readers_get_their_files_whole(corpus, tmp_path):
    """In any order, with less room than readers, each finds all bytes of its file."""
    scratch, wrong = tmp_path / "scratch", []
    local_places([ADDRESS], str(scratch), lambda *_: None, room=5_000)
    place = mirror.place_of(ADDRESS, scratch, "corpora")
    texts = {path.relative_to(corpus): path.read_bytes() for path in corpus.rglob("*.jsonl")}

    def read(seed):
        draw = random.Random(seed)  # noqa: S311
        for _ in range(40):
            name = draw.choice(sorted(texts))
            with reading(str(place / name)):
                if (place / name).read_bytes() != texts[name]:
                    wrong.append(name)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert there(scratch) <= 5_000 + 4_000  # one may come ahead


@pytest.mark.parametrize("stage", ["scan", "filter"])
def test_two_commands_on_one_scratch_folder_lose_nothing(
    bucket, tmp_path, scan, monkeypatch, stage
):
    """Between two reads of a command another one lets its files go: all rows are read."""
    for n in range(6):
        bucket.put(f"corpus/{n}.jsonl", rows(*(f"text {n} {m} " * 40 for m in range(5))))
    size = len(bucket["corpus/0.jsonl"][0])
    settings = (f"limits.scratch={tmp_path}", f"limits.scratch_disk={3 * size + 10}")
    asked, held = [], lent.held

    def beside(path):
        own = [*lent._LENT.items()]
        asked.append(path)
        if own and len(asked) % 3 == 0:
            folder, first = own[0]
            other = lent.Lent(folder, first._storage, [*first.files.values()], first.room)
            for name in sorted(other.files):
                with other.holding(name):
                    pass
        return held(path)

    if stage == "filter":
        scan(ADDRESS, tmp_path / "run", *settings, filtered=False)
    monkeypatch.setattr("pipeline.corpus.files.held", beside)
    done = scan(ADDRESS, tmp_path / "run", *settings)
    assert done.table("kept").num_rows + done.table("removed").num_rows == 30


@pytest.mark.usefixtures("corpus")
def test_a_file_that_is_read_stays_whoever_wants_room(tmp_path):
    """Also where this process has lent nothing; what was deleted meanwhile comes again."""
    scratch = tmp_path / "scratch"
    local_places([ADDRESS], str(scratch), lambda *_: None, room=4_000)
    place = mirror.place_of(ADDRESS, scratch, "corpora")
    with reading(str(place / "0/0.jsonl")):
        pass
    lent._LENT.clear()
    with reading(str(place / "0/0.jsonl")):
        whole = (place / "0/0.jsonl").read_bytes()
        for name in ("1/3.jsonl", "1/4.jsonl", "1/5.jsonl"):
            with reading(str(place / name)):
                assert (place / "0/0.jsonl").read_bytes() == whole != b""
    (place / "0/0.jsonl").unlink()
    with reading(str(place / "0/0.jsonl")):
        assert (place / "0/0.jsonl").read_bytes() == whole


@pytest.mark.usefixtures("corpus")
def test_the_whole_copy_is_not_taken_from_under_another_command(tmp_path):
    """While files come and go for one command, another that wants all of them is refused."""
    told = lambda *_: None  # noqa: E731
    local_places([ADDRESS], str(tmp_path), told, room=9_000)
    [other] = lent._LENT.values()  # of another process
    lent._LENT.clear()
    with pytest.raises(RunFolderError, match="come and go"):
        local_places([ADDRESS], str(tmp_path), told)
    other.close()
    local_places([ADDRESS], str(tmp_path), told)


def test_a_long_name_and_a_relative_folder_are_like_others(bucket, tmp_path, monkeypatch):
    """A name that has room for no suffix is let go too; a folder has one bookkeeping."""
    monkeypatch.chdir(tmp_path)
    name = f"{'x' * 245}.jsonl"
    bucket.put(f"corpus/{name}", rows("one"))
    [place] = local_places([ADDRESS], "scratch", lambda *_: None, room=9_000)
    with reading(f"{place}/{name}"):
        assert len(lent._LENT) == 1


@pytest.mark.usefixtures("corpus")
def test_what_has_no_room_is_refused(tmp_path):
    """The largest file must fit; a cluster reads on other machines."""
    with pytest.raises(ConfigError, match="largest file") as refused:
        local_places([ADDRESS], str(tmp_path / "scratch"), lambda *_: None, room=100)
    assert "limits.scratch_disk" in refused.value.fix
    config = load_config(settings=["limits.scratch_disk=1GB"])
    with pytest.raises(ConfigError, match="every node"), units_on("ray", tmp_path, config):
        pass


def test_notes_are_there_and_nothing_of_a_folder_is(bucket, tmp_path):
    """What tells about other files is not left out; whole copies again when room is given."""
    bucket.put("corpus/data/0.jsonl", rows("one"))
    bucket.put("corpus/data/state.json", b"{}")
    scratch, told = tmp_path / "scratch", lambda *_: None
    local_places([ADDRESS], str(scratch), told, room=1_000)
    place = mirror.place_of(ADDRESS, scratch, "corpora")
    assert (place / "data/state.json").read_bytes() == b"{}"
    assert (place / "data/0.jsonl").read_bytes() == b""
    local_places([ADDRESS], str(scratch), told)
    assert (place / "data/0.jsonl").read_bytes() == rows("one")
    assert not (place.parent / lent.NOTE).exists()


@pytest.mark.usefixtures("corpus")
def test_a_scratch_folder_that_is_full_is_named(tmp_path, scan, monkeypatch):
    """Not the run folder, on whose disk there is room."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    settings = (f"limits.scratch={tmp_path / 'scratch'}", "limits.scratch_disk=9KB")
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(RunFolderError) as refused:
            scan(ADDRESS, tmp_path / "run", *settings)
    assert refused.value.where.startswith(str(tmp_path / "scratch"))
    assert refused.value.found == os.strerror(errno.ENOSPC)
    assert scan(ADDRESS, tmp_path / "run", *settings).rows("kept", "text")


@pytest.mark.usefixtures("corpus")
def test_what_is_being_fetched_is_not_swept_away(tmp_path, server):
    """By another command that begins; what a killed one left is, once nobody reads."""
    local_places([ADDRESS], str(tmp_path), lambda *_: None, room=9_000)
    place = mirror.place_of(ADDRESS, tmp_path, "corpora")
    [(_, first)] = lent._LENT.items()  # of another process
    going, read = threading.Event(), []

    def slow(method):
        if threading.current_thread() is not threading.main_thread() and method == "GET":
            going.wait(20)

    def reader():
        with first.holding("0/1.jsonl"):
            read.append((place / "0/1.jsonl").stat().st_size)

    server.fault = lambda method, path: slow(method) if path.endswith("0/1.jsonl") else None
    thread = threading.Thread(target=reader)
    thread.start()
    while not (coming := [*place.rglob(f"*{UNFINISHED}")]):
        time.sleep(0.01)
    (place / f"left{UNFINISHED}").touch()
    lent._LENT.clear()
    local_places([ADDRESS], str(tmp_path), lambda *_: None, room=9_000)
    assert coming[0].exists()
    going.set()
    thread.join()
    assert read == [first.files["0/1.jsonl"].listed.bytes]
    for one in (first, *lent._LENT.values()):
        one.close()
    lent._LENT.clear()
    local_places([ADDRESS], str(tmp_path), lambda *_: None, room=9_000)
    assert [*place.rglob(f"*{UNFINISHED}")] == []
