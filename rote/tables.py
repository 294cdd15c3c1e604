"""The tables of a run as frames: each method of a `Run` that gives one is a `Table`."""

from __future__ import annotations

import atexit
import html
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa


class Table:
    """A table of a run folder, read when it is asked for.

    Called, it is a Polars frame; it can also be taken as `pl.DataFrame(table)`, `pa.table(table)`
    or by whatever else reads Arrow streams.

    Attributes:
        name: of the table.
        paths: its files, in order.
        without: its columns where it has no file, because it has no row.
    """

    def __init__(self, name: str, paths: list[Path], without: pa.Schema | None = None) -> None:
        self.name = name
        self.paths = paths
        self.without = without

    def __call__(self) -> pl.DataFrame:
        """Return all rows as a Polars frame."""
        import polars as pl

        frame = pl.from_arrow(self.arrow())
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def lazy(self) -> pl.LazyFrame:
        """Return the rows as a Polars lazy frame, which reads what a query needs."""
        import polars as pl

        if not self.paths:
            return self().lazy()
        return pl.scan_parquet(self.paths, missing_columns="insert")

    def arrow(self) -> pa.Table:
        """Return all rows as an Arrow table, with the meaning of each column in its metadata.

        Raises:
            IntegrityError: A file is damaged or gone.
            InputError: A column of the user is of several types, which one cannot hold.
        """
        import pyarrow as pa

        from pipeline.engine.tables import read_batches
        from pipeline.errors import InputError

        batches = [batch for path in self.paths for batch in read_batches(path)]
        parts = [pa.Table.from_batches([batch]) for batch in batches]
        if not parts:
            return self._schema().empty_table()
        try:
            return pa.concat_tables(parts, promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            raise InputError(
                "A column is of several types.",
                where=f"table {self.name}",
                found=str(error).partition("\n")[0].partition(":")[2].strip()[:200],
                fix="read it with .duckdb(), or its files one by one: .paths",
            ) from error

    def duckdb(self) -> duckdb.DuckDBPyRelation:
        """Return the rows as a DuckDB relation; those of all tables can be joined."""
        if not self.paths:
            return _connection().from_arrow(self.arrow())
        return _connection().read_parquet([str(path) for path in self.paths], union_by_name=True)

    @property
    def columns(self) -> dict[str, str]:
        """The meaning of each column, by name; empty for those of the user."""
        return {
            field.name: (field.metadata or {}).get(b"doc", b"").decode() for field in self._schema()
        }

    def _schema(self) -> pa.Schema:
        import pyarrow.parquet as pq

        if self.without is not None:
            return self.without
        return pq.read_schema(self.paths[0])

    def __len__(self) -> int:
        from pipeline.engine.tables import count_rows

        return count_rows(self.paths)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:  # noqa: ANN401 - a capsule
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        names = ", ".join(self.columns)
        return f"<rote table {self.name}: {len(self):,} rows; {names}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(about)}</td></tr>"
            for name, about in self.columns.items()
        )
        return f"<p><b>{html.escape(self.name)}</b>: {len(self):,} rows</p><table>{rows}</table>"


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    """Return the one connection of all relations, so that they can be joined.

    On DuckDB's default one a result that the caller has not fetched yet would be in the way.
    """
    import duckdb

    connection = duckdb.connect()
    atexit.register(connection.close)  # one that is open when Python ends is told as a leak
    return connection
