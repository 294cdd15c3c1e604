"""A check that files which a question reads are still those that were written."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.engine.files import damaged_file, digest_file
from pipeline.engine.run_folder import RunFolder


def require_sound(run: RunFolder, tables: Collection[str]) -> None:
    """Refuse to answer from files that have other bytes than were written.

    Pages carry checksums, but an older or another file of the same schema has good ones, and DuckDB
    looks at none.

    Args:
        run: the run folder.
        tables: the tables that are read.

    Raises:
        IntegrityError: When one of their files is damaged, exchanged or missing.
    """
    for entry in run.manifest["outputs"].values():
        for record in entry["files"]:
            if record["table"] not in tables:
                continue
            path = run.folder / record["path"]
            if not path.is_file():
                raise damaged_file(path, "nothing there")
            if digest_file(path) != record["digest"]:
                raise damaged_file(path, "other bytes than were written")
