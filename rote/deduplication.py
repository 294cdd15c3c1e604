"""Deduplicate a list or a frame in one line, with the proof of each removal."""

from __future__ import annotations

import html
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rote.progress import telling
from rote.settings import Settings

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from rote.runs import Run

Data = TypeVar("Data")
TEXT = "text"
ROW_MASK = (1 << 40) - 1  # of a key: the row in the file


@dataclass(frozen=True, repr=False)
class Deduplicated(Generic[Data]):
    """What became of some rows.

    Attributes:
        kept: the rows that stay, in the form and order in which they were given.
        removed: row, reason, keeper (the row that stays in its place), jaccard: a row each.
        rejected: row and reason of what has no text (null, empty, not UTF-8).
        rows: the rows that stay, by number from 0 on.
    """

    kept: Data
    removed: pl.DataFrame
    rejected: pl.DataFrame
    rows: list[int]

    def __repr__(self) -> str:
        reasons = self.removed["reason"].value_counts(sort=True).rows()
        told = ", ".join(f"{count:,} {str(reason).replace('_', ' ')}" for reason, count in reasons)
        more = f", {len(self.rejected):,} without a text" if len(self.rejected) else ""
        all_ = len(self.rows) + len(self.removed) + len(self.rejected)
        return f"<{all_:,} rows: {len(self.rows):,} kept, {len(self.removed):,} removed" + (
            f" ({told}){more}>" if told else f"{more}>"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.removed._repr_html_()}"


def dedup(
    data: Data,
    text: str | None = None,
    *,
    threshold: float = 0.8,
    settings: Settings | None = None,
    progress: bool = False,
) -> Deduplicated[Data]:
    """Take copies and near copies out of a list of texts or a frame; each removal is proved.

    A near copy goes only if its exact Jaccard with a row that stays reaches the threshold.

    Args:
        data: a list of strings, or a frame (Polars, Arrow, pandas, whatever gives Arrow streams).
        text: the column with the texts; guessed without it.
        threshold: of near copies.
        settings: further ones, as {"near.keep": "earliest"}.
        progress: whether to say on standard error how far it is.

    Raises:
        InputError: The rows are neither strings nor a frame, or have no such column.
        SchemaMismatch: No column is clearly the text.
    """
    import pyarrow.parquet as pq

    from rote.runs import scan

    table = _as_table(data, text)
    if not table.num_rows:
        return Deduplicated(data, _no_rows("keeper", "jaccard"), _no_rows(), [])
    asked: dict[str, Any] = {"near.threshold": threshold, "input.most_rejected": 1}
    if text is not None or isinstance(data, list):
        asked["input.text"] = table.column_names[0]
    with tempfile.TemporaryDirectory(prefix="rote-") as name, telling(progress):
        corpus = Path(name) / "rows.parquet"
        pq.write_table(table, corpus)
        run = scan(corpus, Path(name) / "run", {**asked, **(settings or {})}).filter()
        removed, rejected = _removed(run), _rejected(run)
    gone = {*removed["row"], *rejected["row"]}
    rows = [row for row in range(table.num_rows) if row not in gone]
    return Deduplicated(_taken(data, rows), removed, rejected, rows)


def _as_table(data: object, text: str | None) -> pa.Table:
    """Return the rows to compare: of a frame the text column, or all where it is to be guessed."""
    import pyarrow as pa

    from pipeline.corpus.columnar import writable
    from pipeline.engine.tables import conform
    from pipeline.errors import InputError

    try:
        if isinstance(data, list):
            return pa.table({TEXT: _texts(data)})
        table = data if isinstance(data, pa.Table) else _of_frame(data)
        table = table if text is None else table.select([text])
        plain = writable(table.schema, "rote.dedup")
        return table if plain.types == table.schema.types else conform(table, plain)
    except (TypeError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(
            "These rows cannot be read.",
            where="rote.dedup",
            found=f"{type(data).__name__}: {str(error).partition(chr(10))[0][:200]}",
            expected="a list of strings, or a frame with a column of texts",
            fix="give list(data), frame.collect() or series.to_frame()",
        ) from error


def _of_frame(data: Any) -> pa.Table:  # noqa: ANN401 - what was given
    """Return a frame as a table; nothing of which no rows can be taken."""
    import pyarrow as pa

    if not any(hasattr(data, way) for way in ("iloc", "take", "__arrow_c_stream__")):
        raise TypeError("neither a list nor a frame")
    return pa.table(data)


def _texts(data: list[Any]) -> pa.Array:
    """Return texts as a column of bytes, so that one that is not Unicode is a row to reject."""
    import pyarrow as pa

    others = {type(text) for text in data if not isinstance(text, str | bytes | None)}
    if others:
        raise TypeError(f"of {', '.join(sorted(kind.__name__ for kind in others))}")
    raw = [text.encode(errors="surrogatepass") if isinstance(text, str) else text for text in data]
    return pa.array(raw, pa.large_binary())


def _removed(run: Run) -> pl.DataFrame:
    """Return row, reason, keeper and jaccard of each removal, by row."""
    import polars as pl

    proofs = run.documents.lazy().select("row_key", "jaccard")
    drops = run.decisions.lazy().filter(pl.col("action") == "drop")
    named = drops.select("row_key", "reason", "keeper").join(proofs, on="row_key", how="left")
    place = [(pl.col(name) & ROW_MASK).cast(pl.Int64) for name in ("row_key", "keeper")]
    return (
        named.select(place[0].alias("row"), "reason", place[1].alias("keeper"), pl.col("jaccard"))
        .sort("row")
        .collect()
    )


def _rejected(run: Run) -> pl.DataFrame:
    """Return row and reason of each row without a text, by row."""
    if "rejected" not in run.tables:
        return _no_rows()
    return run.rejected.lazy().select("row", "reason").sort("row").collect()


def _no_rows(*more: str) -> pl.DataFrame:
    import polars as pl

    kinds = {"row": pl.Int64, "reason": pl.String, "keeper": pl.Int64, "jaccard": pl.Float64}
    return pl.DataFrame(schema={name: kinds[name] for name in ("row", "reason", *more)})


def _taken(data: Any, rows: list[int]) -> Any:  # noqa: ANN401 - what was given
    """Return some rows in the form in which all were given."""
    if isinstance(data, list):
        return [data[row] for row in rows]
    if hasattr(data, "iloc"):  # pandas
        return data.iloc[rows]
    return data.take(rows) if hasattr(data, "take") else data[rows]
