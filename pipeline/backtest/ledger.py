"""The folder of a back-test: outputs with fingerprints, as in a run folder.

Every training and every scoring is an output: kill it, run it again, and it goes on.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine.files import write_file
from pipeline.engine.progress import current
from pipeline.engine.run_folder import RunFolder
from pipeline.engine.stage import FileRecord
from pipeline.engine.tables import read_table, write_table

VERSION = 1
Built = tuple[Iterable[FileRecord], dict[str, Any]]


@dataclass(frozen=True)
class Output:
    """A finished output: its name, fingerprint, files and facts."""

    folder: Path
    name: str
    fingerprint: str
    files: dict[str, Path]
    facts: dict[str, Any]

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return the rows of its table of that schema."""
        name = (schema.metadata or {})[b"table"].decode()
        paths = [path for own, path in self.files.items() if own.startswith(f"{name}/")]
        return read_table(paths, schema)


class Ledger:
    """Makes outputs that are not current and records each; safe to use in threads."""

    def __init__(self, run: RunFolder) -> None:
        self.folder = run.folder
        self._run = run
        self._lock = threading.Lock()

    def get(self, name: str, parts: Any, make: Callable[[], Built]) -> Output:  # noqa: ANN401 - JSON
        """Return an output made from `parts`: the one that is there, or a new one."""
        fingerprint = digest([VERSION, name, parts])
        if not self.has(name, parts):
            with self._lock:
                self._run.forget([name])
            begun = time.perf_counter()
            files, facts = make()
            entry = {
                "fingerprint": fingerprint,
                "facts": facts,
                "files": [asdict(record) for record in files],
            }
            with self._lock:
                self._run.commit(name, entry)
                elapsed = round(time.perf_counter() - begun, 3)
                self._run.event({"output": name, "elapsed_s": elapsed})
        entry = self._run.manifest["outputs"][name]
        paths = {record["path"]: self.folder / record["path"] for record in entry["files"]}
        return Output(self.folder, name, fingerprint, paths, entry["facts"])

    def has(self, name: str, parts: Any) -> bool:  # noqa: ANN401
        """Tell whether an output is there and current."""
        with self._lock:
            return self._run.fresh(name, digest([VERSION, name, parts]))

    def names(self, prefix: str) -> list[str]:
        """Return the recorded outputs whose names begin so."""
        return [name for name in self._run.manifest["outputs"] if name.startswith(prefix)]

    def table(self, schema: pa.Schema, name: str, rows: pa.Table) -> FileRecord:
        """Write a table whole."""
        table = (schema.metadata or {})[b"table"].decode()
        with write_table(self.folder, table, name, schema) as out:
            out.write(rows)
        return out.record

    def file(self, name: str, data: bytes) -> FileRecord:
        """Write a file of models whole."""
        return write_file(self.folder, "models", name, data)

    def result(self, name: str, data: bytes) -> FileRecord:
        """Write a file beside the manifest whole."""
        return write_file(self.folder, ".", name, data)


def digest(parts: Any) -> str:  # noqa: ANN401
    """Return the fingerprint of plain values."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def say(text: str) -> None:
    """Tell the listener a line."""
    current().message(text)
