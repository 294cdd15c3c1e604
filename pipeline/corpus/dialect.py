"""How a delimited file is written: its separator, its header, its encoding, its quotes."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.config.sections import InputConfig
from pipeline.corpus.files import open_stream, reading, suffix_of
from pipeline.errors import CorruptFile

SEPARATORS = (",", "\t", ";", "|")
NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}
HEAD_BYTES = 1 << 16
HEAD_RECORDS = 50
LONG_NAME, MANY_WORDS = 100, 8  # characters and words that the name of a column hardly has


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written.

    Attributes:
        separator: between fields.
        header: the first record names the columns; else they are column_1, column_2 ...
        encoding: of the file.
        quote: the character around fields that hold separators; empty for none.
    """

    separator: str = ","
    header: bool = True
    encoding: str = "utf-8"
    quote: str = '"'

    def reader_options(self) -> dict[str, object]:
        """Return the options for csv.reader."""
        quoting = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return {"delimiter": self.separator, "quotechar": self.quote or None, "quoting": quoting}


def dialect_of(path: str, config: InputConfig) -> Dialect:
    """Return how a file is written, by the settings, else by its name and its head.

    Raises:
        CorruptFile: When the first record is no header, and the settings do not say so; or no
            separator is clear.
    """
    plain = Dialect(
        header=config.csv_header != "no", encoding=config.csv_encoding, quote=config.csv_quote
    )
    dialect = replace(plain, separator=config.csv_separator or _separator(path, plain))
    if not config.csv_separator and dialect.header:
        _require_separator(path, dialect)
    if config.csv_header == "auto":
        _require_header(path, dialect)
    return dialect


def _separator(path: str, plain: Dialect) -> str:
    """Return the separator that gives all records of the head the same number of fields.

    It is a comma, of a .tsv a tab, unless that gives one field and another one gives several.
    """
    usual = "\t" if suffix_of(path) == ".tsv" else ","
    widths = {sign: _width(path, plain, sign) for sign in SEPARATORS}
    if widths[usual] > 1:
        return usual
    best = max(SEPARATORS, key=lambda sign: (widths[sign], sign == usual))
    return best if widths[best] > 1 else usual


def _width(path: str, plain: Dialect, separator: str) -> int:
    """Return the fields that nearly all records of the head have, a header too; else 1."""
    records = _head(path, replace(plain, separator=separator))
    if not records:
        return 1
    (width, count), *_ = Counter(map(len, records)).most_common()
    if plain.header and len(records[0]) != width:  # commas of the texts, say
        return 1
    return width if 10 * count >= 9 * len(records) else 1


def _require_separator(path: str, dialect: Dialect) -> None:
    """Refuse a file of one column whose header another separator makes names of several columns.

    Its records have not that many fields, or it would have been taken.

    Raises:
        CorruptFile: When there is such a separator.
    """
    records = _head(path, dialect)
    if not records or len(records[0]) > 1:
        return
    for sign in SEPARATORS:
        named, *others = _head(path, replace(dialect, separator=sign)) or [[""]]
        widths = {len(fields) for fields in others}
        if len(named) > 1 and max(widths, default=1) > 1 and not any(map(_like_value, named)):
            raise CorruptFile(
                "The separator of a CSV file is not clear.",
                where=path,
                found=f"a header of {len(named)} fields by {NAMES[sign]}, records of "
                f"{min(widths)} to {max(widths)}",
                expected="records of as many fields as the header",
                fix=f"name it: --set 'input.csv_separator={_typed(sign)}' (records of another "
                "number of fields are then rejected), or write quotes around fields that hold one",
            )


def _head(path: str, dialect: Dialect) -> list[list[str]]:
    """Return the first records of a file, without the one that the head cuts off."""
    with reading(path), open_stream(path) as stream:
        head = stream.read(HEAD_BYTES)
    text = head.decode(dialect.encoding, errors="replace").removeprefix("\ufeff")
    lines = text.splitlines(keepends=True)
    lines = lines[:-1] if len(head) == HEAD_BYTES and len(lines) > 1 else lines
    try:
        found = csv.reader(lines, **dialect.reader_options())  # type: ignore[arg-type]
        return [fields for fields in islice(found, HEAD_RECORDS) if fields]
    except csv.Error:
        return []


def _require_header(path: str, dialect: Dialect) -> None:
    """Refuse a first record that looks like a row: a long field, an empty one, or a number.

    Raises:
        CorruptFile: When it does.
    """
    first = next(iter(_head(path, dialect)), None)
    if first is None:
        return
    like_rows = list(filter(_like_value, first))
    if like_rows:
        raise CorruptFile(
            "The first record of a CSV file looks like a row, not like a header.",
            where=path,
            found=f"{len(like_rows)} of {len(first)} fields that are long or numbers",
            expected="the names of the columns",
            fix="--set input.csv_header=no if it has none (columns are then column_1, column_2 ...)"
            ", --set input.csv_header=yes if it has",
        )


def _typed(sign: str) -> str:
    """Return a separator as it can be typed as a setting."""
    return '"\\t"' if sign == "\t" else sign


def _like_value(name: str) -> bool:
    """Tell whether a field of a first record is hardly the name of a column."""
    return len(name) > LONG_NAME or len(name.split()) > MANY_WORDS or _is_number(name)


def _is_number(name: str) -> bool:
    """Tell whether a field is a number."""
    try:
        float(name)
    except ValueError:
        return False
    return True
