import json
import os
import sys

import pytest

from flows import command_line
from flows.places import at_hand
from pipeline.engine import progress
from pipeline.engine.run_folder import RunFolder
from pipeline.errors import ConfigError, InputError, RunFolderError, TransientIOError
from pipeline.scan import families
from pipeline.storage import published
from pipeline.storage.addresses import _ObjectStore
from tests.unit.storage.at_address import ADDRESS, opened, silent, there, write
from tests.unit.storage.test_mirror import rows

WORDS = " ".join(f"w{n}" for n in range(60))
FILES = {"a.jsonl": [WORDS, "one"], "b.jsonl": [f"{WORDS} more", WORDS]}


def test_what_was_done_is_there_and_nothing_transient(first, bucket, tmp_path):
    """A second machine sees it; data put aside, locks and the lease are not there afterwards."""
    with opened(first) as folder:
        for name in (".lock", ".unfinished/x", "counts/x.9.rote-tmp"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("1")
    expected = {"kept/a": b"1", "kept/_SUCCESS": b"", "counts/all": b"x", "manifest.json": b"first"}
    found = there(bucket)
    assert {name: found[name] for name in expected} == expected
    assert not [n for n in found if n.startswith(".") or n.endswith("rote-tmp")]
    with opened(tmp_path / "two", writes=False) as folder:
        assert (folder / "kept/a").read_text() == "1"


@pytest.mark.usefixtures("first")
def test_files_change_between_the_mark_that_goes_and_the_one_that_comes(server, bucket, tmp_path):
    """The manifest is put after what it names, then old files go, and `_SUCCESS` comes last."""
    with opened(tmp_path / "two") as folder:
        server.requests.clear()
        (folder / "counts/all").unlink()
        write(folder, kept__a="22", kept__b="3")
        (folder / "kept/_SUCCESS").touch()
        (folder / "manifest.json").write_text("second")
    done = [
        (method, path.removeprefix("data/runs/one/"))
        for method, path in server.requests
        if method in ("PUT", "DELETE", "POST") and "lease" not in path
    ]
    names = [name for _, name in done]
    assert names[0] == ".changes"
    assert done[1][0] in ("DELETE", "POST")
    assert done[1][1] in ("kept/_SUCCESS", "data/")
    assert sorted(names[2:4]) == ["kept/a", "kept/b"]
    assert names[4] == "manifest.json"
    assert {method for method, _ in done[5:7]} <= {"DELETE", "POST"}
    assert names[7] == "kept/_SUCCESS"
    assert set(there(bucket)) == {"kept/a", "kept/b", "kept/_SUCCESS", "manifest.json"}


def test_what_a_killed_process_did_is_published_later(first, bucket):
    """Nothing of a killed command is there; the next one on that machine goes on from it."""

    def killed():
        with opened(first) as folder:
            write(folder, counts__more="y")
            (folder / "manifest.json").write_text("second")
            raise SystemExit

    with pytest.raises(SystemExit):
        killed()
    assert there(bucket)["manifest.json"] == b"first"
    with opened(first) as folder:
        assert (folder / "counts/more").read_text() == "y"
    assert there(bucket)["manifest.json"] == b"second"


def test_another_machines_version_replaces_an_older_copy(first, tmp_path):
    """A copy that another machine has overtaken is fetched anew."""
    with opened(tmp_path / "two") as folder:
        write(folder, kept__a="new")
        (folder / "manifest.json").write_text("second")
    with opened(first) as folder:
        assert (folder / "kept/a").read_text() == "new"


def test_commands_work_at_addresses(bucket, tmp_path, make_corpus, capsys, monkeypatch):
    """A scan here and a filter there, of a bucket into a bucket, leave what a local run does."""
    monkeypatch.setattr(progress, "_current", progress.current())  # a command sets its own
    corpus = make_corpus(tmp_path / "corpus", FILES)
    for path in corpus.iterdir():
        bucket.put(f"corpus/{path.name}", path.read_bytes())

    def rote(*given, machine="one"):
        scratch = f"limits.scratch={tmp_path / machine}"
        assert command_line.run([*given, "--local", "--set", scratch]) == 0

    rote("scan", "s3://data/corpus", "--out", ADDRESS)
    rote("filter", ADDRESS, machine="two")
    rote("scan", str(corpus), "--out", str(tmp_path / "run"))
    rote("filter", str(tmp_path / "run"))
    own = {
        path.relative_to(tmp_path / "run").as_posix(): path.read_bytes()
        for path in (tmp_path / "run").rglob("*")
        if path.is_file() and path.name not in (".lock", "manifest.json", "stages.jsonl")
    }
    found = there(bucket)
    assert {name: found.get(name) for name in own} == own
    assert json.loads(found["manifest.json"])["corpus"]["roots"] == ["s3://data/corpus"]
    assert "top-secret" not in str(found) + capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "three"))
    assert command_line.run(["explain", ADDRESS, "b.jsonl#1"]) == 0
    assert "REMOVED as a near copy" in capsys.readouterr().out
    with pytest.raises(InputError, match="lies at an address"):
        command_line.run(["explain", "s3://data/runs/none", "a.jsonl#0"])


def test_a_killed_command_goes_on_elsewhere_from_its_last_stage(
    bucket, tmp_path, make_corpus, capsys, monkeypatch
):
    """Stages are published as they end: another machine does what is left, the same bytes."""
    monkeypatch.setattr(progress, "_current", progress.current())
    corpus = make_corpus(tmp_path / "corpus", FILES)

    def rote(out, machine):
        scratch = f"limits.scratch={tmp_path / machine}"
        return command_line.run(["scan", str(corpus), "--out", out, "--local", "--set", scratch])

    with monkeypatch.context() as patch:
        patch.setattr(families, "components", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            rote(ADDRESS, "one")
    done = json.loads(there(bucket)["manifest.json"])["outputs"]
    assert {"sketch/g00000", "windows/all"} <= set(done)
    assert not {"families/all", "counts/all"} & set(done)
    assert {record["path"] for entry in done.values() for record in entry["files"]} <= {
        *there(bucket)
    }
    capsys.readouterr()
    assert rote(ADDRESS, "two") == 0
    assert "already done" in capsys.readouterr().err
    assert rote(str(tmp_path / "run"), "three") == 0
    found = there(bucket)
    for path in (tmp_path / "run").rglob("*.parquet"):
        assert found[path.relative_to(tmp_path / "run").as_posix()] == path.read_bytes()


def test_a_storage_that_does_not_answer_meanwhile_is_asked_again(first, server, bucket):
    """What could not be published after a stage is published after the next, or at the end."""
    with opened(first) as folder:
        write(folder, counts__more="y")
        (folder / "manifest.json").write_text("second")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(published._Giving, "_write", unanswered)
            published.publish(folder)
        assert there(bucket)["manifest.json"] == b"first"
        published.publish(folder, every=1000)
        assert there(bucket)["manifest.json"] == b"first"
        published.publish(folder)
        assert there(bucket)["manifest.json"] == b"second"
        server.requests.clear()
        published.publish(folder)
        assert server.requests == []
    published.publish(folder)  # closed: nothing to do with it any more


def unanswered(*_):
    """Be a storage that does not answer."""
    raise TransientIOError("A storage did not answer.")


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("delete", "kept/a"),
        ("write", "kept/_SUCCESS"),
        ("write", "manifest.json"),
        ("delete", "kept/_SUCCESS"),
    ],
)
def test_what_fails_while_it_is_published_is_done_by_the_next(first, bucket, method, name):
    """Wherever it does: no work is lost, nothing comes back, `_SUCCESS` is never untrue."""
    honest = getattr(_ObjectStore, method)

    def failing(self, names, *given, **options):
        if name in (names if method == "delete" else [names]):
            raise TransientIOError("A storage did not answer.")
        return honest(self, names, *given, **options)

    with opened(first) as folder:
        write(folder, kept__b="2")
        (folder / "kept/a").unlink()
        (folder / "kept/_SUCCESS").touch()
        (folder / "manifest.json").write_text("second")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_ObjectStore, method, failing)
            published.publish(folder)
        found = there(bucket)
        assert ("kept/_SUCCESS" in found) == ((method, name) == ("delete", "kept/_SUCCESS"))
        (folder / "manifest.json").write_text("third")
        published.publish(folder)
        expected = {"counts/all", "kept/b", "kept/_SUCCESS", "manifest.json"}
        assert set(there(bucket)) - {".lease"} == expected
        assert there(bucket)["manifest.json"] == b"third"
    with opened(first) as folder:
        assert not (folder / "kept/a").exists()


@pytest.mark.parametrize("told", [TransientIOError, FileExistsError])
@pytest.mark.parametrize("ends", [False, True])
def test_an_answer_that_is_lost_is_not_taken_for_another_run(first, bucket, told, ends):
    """A manifest that came, and of which that was not told, is known as our own by its bytes."""
    honest, lost = _ObjectStore.write, [told("A storage did not answer.")]

    def deaf(self, name, *given, **options):
        tag = honest(self, name, *given, **options)
        if name == "manifest.json" and lost:
            raise lost.pop()
        return tag

    with opened(first) as folder:
        write(folder, counts__more="y")
        (folder / "manifest.json").write_text("second")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_ObjectStore, "write", deaf)
            published.publish(folder)
        assert there(bucket)["manifest.json"] == b"second"
        if ends:
            state = (folder.parent / "published.json").read_bytes()
        (folder / "manifest.json").write_text("third")
    assert there(bucket)["manifest.json"] == b"third"
    if ends:  # it was killed where the answer was lost
        bucket.put("runs/one/manifest.json", b"second")
        (folder.parent / "published.json").write_bytes(state)
        with opened(first) as folder:
            assert (folder / "manifest.json").read_text() == "third"
        assert there(bucket)["manifest.json"] == b"third"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_command_that_ends_while_files_are_named_leaves_a_folder_that_others_go_on_with(
    bucket, tmp_path, make_corpus, monkeypatch, error
):
    """What the manifest does not name yet is not published, but by the next command there."""
    monkeypatch.setattr(progress, "_current", progress.current())
    corpus = make_corpus(tmp_path / "corpus", FILES)
    honest = RunFolder.save

    def rote(machine):
        scratch = f"limits.scratch={tmp_path / machine}"
        given = ["scan", str(corpus), "--out", ADDRESS, "--local", "--set", scratch]
        return command_line.run(given)

    def stopped(run):
        if "sketch/g00000" in run.manifest["outputs"]:
            raise error
        honest(run)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "save", stopped)
        with pytest.raises((KeyboardInterrupt, RunFolderError)):
            rote("one")
    assert not [name for name in there(bucket) if name.endswith(".parquet")]
    left = dict(bucket)
    assert rote("two") == 0
    bucket.clear()
    bucket.update(left)
    assert rote("one") == 0
    assert "families/all.parquet" in there(bucket)


@pytest.mark.parametrize("again", [False, True])
def test_a_publishing_that_is_killed_leaves_a_folder_that_others_go_on_with(
    bucket, tmp_path, make_corpus, monkeypatch, again
):
    """New files without an entry, and files changed under the old one, are known at the address."""
    monkeypatch.setattr(progress, "_current", progress.current())
    corpus = make_corpus(tmp_path / "corpus", FILES)
    honest = published._Giving._write

    def rote(out, machine):
        scratch = f"limits.scratch={tmp_path / machine}"
        return command_line.run(["scan", str(corpus), "--out", out, "--local", "--set", scratch])

    def killed(giving, names, total):
        honest(giving, names, total)
        if "families/all.parquet" in names:
            sys.exit()

    if again:
        assert rote(ADDRESS, "one") == rote(str(tmp_path / "run"), "three") == 0
        make_corpus(corpus, {"c.jsonl": [f"{WORDS} and", "other"]})
    with monkeypatch.context() as patch:
        patch.setattr(published._Giving, "_write", killed)
        with pytest.raises(SystemExit):
            rote(ADDRESS, "one")
    assert rote(ADDRESS, "two") == rote(str(tmp_path / "run"), "three") == 0
    found = there(bucket)
    own = list((tmp_path / "run").rglob("*.parquet"))
    assert {name for name in found if name.endswith(".parquet")} == {
        path.relative_to(tmp_path / "run").as_posix() for path in own
    }
    for path in own:
        assert found[path.relative_to(tmp_path / "run").as_posix()] == path.read_bytes()
    assert not [name for name in found if name.startswith(".")]


def test_folders_that_vanish_meanwhile_are_not_looked_into(first, bucket, monkeypatch):
    """A thread that Ctrl-C did not end deletes what it had put aside."""
    honest = os.scandir

    def scandir(path="."):
        if ".spill-" in os.fspath(path):
            raise FileNotFoundError(path)
        return honest(path)

    with opened(first) as folder:
        (folder / ".spill-abcdefgh").mkdir()
        (folder / "manifest.json").write_text("second")
        monkeypatch.setattr(os, "scandir", scandir)
        published.publish(folder)
        assert there(bucket)["manifest.json"] == b"second"
        monkeypatch.undo()


@pytest.mark.usefixtures("bucket")
def test_an_address_that_cannot_be_written_to_is_one_message(server, tmp_path):
    """A read-only bucket, and a storage without conditions."""
    server.fault = lambda method, _path: None if method in ("GET", "HEAD") else "AccessDenied"
    with pytest.raises(InputError, match="s3://data/runs/one"), opened(tmp_path):
        pass
    with (
        pytest.raises(ConfigError, match="cannot lie at such"),
        published.run_folder_at("memory://runs/x", tmp_path, silent, silent, writes=True),
    ):
        pass


def test_a_folder_of_this_machine_is_taken_as_it_is(tmp_path):
    """Nothing happens to arguments without an address."""
    from flows.arguments import ExplainArguments

    asked = ExplainArguments(tmp_path, "x")
    with at_hand(asked) as given:
        assert given is asked
    assert rows("x")
