"""Write the files of a shard anew from its last ones, without a look at the shard.

Rows are written in parts, and each part has row groups of its own in kept/ and in removed/. Where
the same rows of a part stay, its groups are renewed; where rows move between the two files, the
user's columns are read from both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from pipeline.engine.files import damaged_file
from pipeline.engine.stage import FileRecord, Work
from pipeline.filter.emit.renewed import RenewedFile
from pipeline.filter.emit.row_facts import RowFacts
from pipeline.filter.emit.standing import Last
from pipeline.filter.emit.struct_column import Added


class Renewal:
    """A writer of the files of a shard anew."""

    def __init__(
        self, work: Work, added: Added, layout: Callable[[], tuple[int, Sequence[str]]]
    ) -> None:
        """Hold what is needed.

        Args:
            work: the unit.
            added: the maker of the column of rote.
            layout: tells the rows of a row group at most, and the columns of texts; it is asked
                only where rows move.
        """
        self._work, self._added, self._layout = work, added, layout

    def written(self, facts: RowFacts, last: Last) -> tuple[list[FileRecord], dict[str, int]]:
        """Write the files; return all files of the shard, and how many rows are in these.

        Args:
            facts: what is known of its rows, from the first one on.
            last: its last files.

        Raises:
            IntegrityError: The last files have other rows than were written.
        """
        own = {record.table: record for record in last.records}
        with (
            self._file(own["kept"]) as kept,
            self._file(own["removed"]) as removed,
        ):
            for size in last.facts["parts"]:
                self._part(facts.take(size), kept, removed)
            if not kept.rows + removed.rows == sum(last.facts["parts"]) == facts.rows():
                raise damaged_file(self._work.folder / kept.path, "fewer rows than were written")
        found = {file.record.table: file.record for file in (kept, removed)}
        records = [found.get(record.table, record) for record in last.records]
        return records, {"kept": kept.rows, "removed": removed.rows}

    def _file(self, record: FileRecord) -> RenewedFile:
        column = self._work.config.emit.column
        return RenewedFile(self._work.folder, record, column)

    def _part(self, facts: pa.Table, kept: RenewedFile, removed: RenewedFile) -> None:
        """Write the rows of a part."""
        keys = facts["row_key"].to_numpy()
        drop = np.asarray(facts["action"]) == "drop"
        staying, going = facts.filter(pa.array(~drop)), facts.filter(pa.array(drop))
        values = self._added.to_kept(staying, None), self._added.to_removed(going)
        files = kept, removed
        before = [file.take(int(keys.max(initial=0))) for file in files]
        if np.array_equal(before[0], keys[~drop]):
            for file, column in zip(files, values, strict=True):
                file.renew(column)
            return
        order = np.argsort(np.concatenate(before))
        if not np.array_equal(np.concatenate(before)[order], keys):
            raise damaged_file(self._work.folder / kept.path, "other rows than were written")
        rows = pa.concat_tables([file.user_columns() for file in files])
        for file, chosen, column in zip(files, (~drop, drop), values, strict=True):
            file.leave_out()
            if chosen.any():
                own = rows.take(pa.array(order[chosen])).combine_chunks()
                last = file.schema.field(len(file.schema) - 1)
                file.write(own.append_column(last, column), *self._layout())
