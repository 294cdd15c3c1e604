"""Shared fixtures: tiny corpora, whole scans in a folder, rows for a query."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.corpus.room import MOST, give_room
from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.progress import Silent, listen
from pipeline.engine.shards import active_shards
from pipeline.engine.stage import Work
from pipeline.text.segmentation import are_compiled

COMPILING = pytest.StashKey[str]()


def pytest_configure(config):
    """Let this process not wait for the disk, a third of a tiny scan: no test ends in a power cut.

    Commands that are started sync as ever, and what counts or refuses calls puts its own in place.
    Loops are compiled once, by a process of its own while the others collect their tests.
    """
    pytest.MonkeyPatch().setattr(os, "fsync", lambda _: None)
    if hasattr(config, "workerinput") or are_compiled():
        return
    held, name = tempfile.mkstemp()
    fcntl.flock(held, fcntl.LOCK_EX)
    program = [sys.executable, "-m", "tests.compiled"]
    compiling = subprocess.Popen(program, cwd=config.rootpath, pass_fds=[held])
    os.close(held)  # the lock lasts as long as that process
    config.stash[COMPILING] = name
    config.add_cleanup(compiling.wait)
    config.add_cleanup(Path(name).unlink)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """Tell a process of the tests which lock to wait for."""
    node.workerinput["compiling"] = node.config.stash.get(COMPILING, None)


def pytest_collection_finish(session):
    """Wait until loops are compiled."""
    given = getattr(session.config, "workerinput", {}).get("compiling")
    name = given or session.config.stash.get(COMPILING, None)
    if name is not None:
        with Path(name).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)


def pytest_collection_modifyitems(items):
    """Put the unit tests last, whose files are short, so that no process ends long before another.

    Those that train models are the longest of them and come first. The order within each part
    stays the random one.
    """
    items.sort(key=_part)


def _part(item):
    parts = set(item.path.parts)
    return 0 if "unit" not in parts else 2 - bool(parts & {"score", "backtest", "inspect"})


@dataclass(frozen=True)
class Done:
    """A run folder after a scan and perhaps a filter, and the units of work that were performed."""

    folder: Path
    performed: list[str]

    @property
    def manifest(self):
        """The manifest as written."""
        return load_manifest(self.folder)

    def table(self, name):
        """Return all rows of a table of the run."""
        paths = [
            record["path"]
            for _, entry in sorted(self.manifest["outputs"].items())
            for record in entry["files"]
            if record["table"] == name
        ]
        return pa.concat_tables([pq.read_table(self.folder / path) for path in paths])

    def rows(self, name, *columns):
        """Return the rows of a table as tuples of those columns."""
        found = self.table(name)
        return list(zip(*(found[column].to_pylist() for column in columns), strict=True))

    def files(self, stage):
        """Return the bytes of each table that a stage wrote as a whole."""
        records = self.manifest["outputs"][f"{stage}/all"]["files"]
        return {item["table"]: (self.folder / item["path"]).read_bytes() for item in records}

    def redone(self, stage, folder, *, memory=0, cores=1):
        """Run a stage again, in a copy of the run folder and with other means; return that copy."""
        shutil.copytree(self.folder, folder)
        manifest = self.manifest
        tables: dict[str, tuple[str, ...]] = {}
        for _, entry in sorted(manifest["outputs"].items()):
            for record in entry["files"]:
                name = record["table"]
                tables[name] = (*tables.get(name, ()), record["path"])
        config, shards = load_config(base=manifest["config"]), active_shards(manifest)
        work = Work(stage, "all", folder, config, tuple(shards), tables, cores=cores, memory=memory)
        receipt = run.STAGES[stage].function(work)
        entry = {**manifest["outputs"][f"{stage}/all"], "facts": receipt.facts}
        manifest["outputs"][f"{stage}/all"] = {**entry, "files": [*map(asdict, receipt.files)]}
        (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
        return Done(folder, [])


def _write(path, rows):
    """Write one shard: Arrow tables and lists of records to Parquet, records to JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
        pq.write_table(table, path)
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")


def _performed(folder):
    log = folder / "events" / "stages.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    events = map(json.loads, lines)
    return [f"{one['stage']}/{one['key']}" for one in events if one["event"] == "unit"]


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Give a function that fills a folder once for all processes of the tests.

    None of them may write to it afterwards.
    """

    def filled(name, fill):
        root = tmp_path_factory.getbasetemp()
        root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
        folder, made = root / name, root / f"{name}.made"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                made.touch()
        return folder

    return filled


@pytest.fixture(scope="session")
def make_corpus():
    """Give a function that writes {name: rows} into a folder; a plain string is a row of it."""

    def make(folder, files):
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in files.items():
            table = isinstance(rows, pa.Table)
            own = rows if table else [r if isinstance(r, dict) else {"text": r} for r in rows]
            _write(folder / name, own)
        return folder

    return make


@pytest.fixture(scope="session")
def scan():
    """Give a function that scans and filters a corpus into a run folder, without Prefect."""

    def perform(corpus, out, *settings, filtered=True, verify=False):
        before = len(_performed(out))
        config = load_config(settings=["limits.workers=2", *settings])
        with run.session(
            out, config, LocalMapper(2), corpus=[str(corpus)], verify=verify
        ) as session:
            run.scan(session)
            if filtered:
                run.filter_rows(session)
        return Done(out, _performed(out)[before:])

    return perform


@pytest.fixture(autouse=True)
def _whole_room():
    """Forget the budget of memory and the listener that a test before set for its process."""
    give_room(MOST)
    listen(Silent())


@pytest.fixture
def stored(tmp_path):
    """Give a function that writes columns of a table's schema to a file, as inputs of a query."""

    def store(schema, **columns):
        chosen = pa.schema([schema.field(name) for name in columns])
        table = pa.table(list(columns.values()), schema=chosen)
        path = tmp_path / f"{schema.metadata[b'table'].decode()}-{len(list(tmp_path.iterdir()))}"
        pq.write_table(table, path)
        return [path]

    return store
