"""Keep the outputs of a back-test in a folder, with fingerprints as in a run folder.

Every training and every scoring is an output. So a back-test that was killed goes on from there
when it is run again. What an output was before stays until the new one is whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine.events import used
from pipeline.engine.files import write_file
from pipeline.engine.progress import current
from pipeline.engine.run_folder import RunFolder, digest_of
from pipeline.engine.stage import FileRecord
from pipeline.engine.tables import read_table, write_table

VERSION = 1
Built = tuple[Iterable[FileRecord], dict[str, Any]]  # the files of an output, and its facts


@dataclass(frozen=True)
class Output:
    """A finished output.

    Attributes:
        folder: the folder of the back-test.
        name: the name of the output.
        fingerprint: a hash of everything that it was made from.
        files: its files, by their path in the folder.
        facts: plain facts about it.
    """

    folder: Path
    name: str
    fingerprint: str
    files: dict[str, Path]
    facts: dict[str, Any]

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return the rows of the output's table of a schema."""
        name = (schema.metadata or {})[b"table"].decode()
        paths = [path for file, path in self.files.items() if file.startswith(f"{name}/")]
        return read_table(paths, schema)


class Ledger:
    """A record of outputs, which makes those that are not current; safe to use in threads.

    Attributes:
        folder: the folder of the back-test.
    """

    def __init__(self, run: RunFolder) -> None:
        self.folder = run.folder
        self._run = run
        self._lock = threading.Lock()

    def get(self, name: str, parts: Any, make: Callable[[], Built]) -> Output:  # noqa: ANN401 - JSON
        """Return an output: the current one that is there, or a new one.

        Args:
            name: the name of the output.
            parts: everything that it is made from, as JSON values.
            make: makes its files and facts.
        """
        fingerprint = digest_of([VERSION, name, parts])
        if not self.has(name, parts):
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
                self._run.log.add("unit", output=name, elapsed_s=elapsed, **used())
        entry = self._run.manifest["outputs"][name]
        paths = {record["path"]: self.folder / record["path"] for record in entry["files"]}
        return Output(self.folder, name, fingerprint, paths, entry["facts"])

    def has(self, name: str, parts: Any) -> bool:  # noqa: ANN401
        """Return whether an output is there and current."""
        with self._lock:
            return self._run.fresh(name, digest_of([VERSION, name, parts]))

    def names(self, prefix: str) -> list[str]:
        """Return the names of the recorded outputs that begin with a prefix."""
        return [name for name in self._run.manifest["outputs"] if name.startswith(prefix)]

    def table(self, schema: pa.Schema, name: str, rows: pa.Table) -> FileRecord:
        """Write a file of a table, whole or not at all."""
        table = (schema.metadata or {})[b"table"].decode()
        with write_table(self.folder, table, name, schema) as out:
            out.write(rows)
        return out.record

    def file(self, name: str, data: bytes) -> FileRecord:
        """Write a file below `models`, whole or not at all."""
        return write_file(self.folder, "models", name, data)

    def result(self, name: str, data: bytes) -> FileRecord:
        """Write a file beside the manifest, whole or not at all."""
        return replace(write_file(self.folder, ".", name, data), path=name)


def say(text: str) -> None:
    """Show a line of progress."""
    current().message(text)
