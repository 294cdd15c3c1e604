"""The sources that settings name: values of the source column, source groups, or splits."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.errors import ConfigError

SOURCES = ("source", "source_group", "split")
MOST_NAMED = 5  # in a message
MOST_LETTERS = 80  # of each


def require_known_sources(documents: pl.DataFrame, names: Sequence[str], setting: str) -> None:
    """Refuse a source that does not occur: the setting would silently do nothing for it.

    Args:
        documents: one row per document, with the columns of `SOURCES`.
        names: the sources that the setting names.
        setting: the name of the setting.

    Raises:
        ConfigError: When no document has one of the sources.
    """
    if not names:
        return
    wanted = pl.Series(list(dict.fromkeys(names)), dtype=pl.String)
    values, groups, splits = (
        wanted.is_in(documents[column].unique().implode()) for column in SOURCES
    )
    unknown = wanted.filter(~(values | groups | splits))
    if len(unknown):
        largest = documents["source_group"].drop_nulls().value_counts()
        largest = largest.sort("count", "source_group", descending=[True, False])
        examples = _quoted(largest["source_group"])
        raise ConfigError(
            "A source that the settings name does not occur in the corpus.",
            where=setting,
            found=_quoted(unknown),
            expected="values of the source column, source groups or splits, "
            f"for example {examples}",
            fix=f"correct the name or leave it out of {setting}",
        )


def _quoted(names: pl.Series) -> str:
    return ", ".join(repr(name)[:MOST_LETTERS] for name in names.head(MOST_NAMED).to_list())
