"""The back-test as the report shows it, read from RUN/backtest/backtest.json where there is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.engine.tables import Row
from pipeline.report.data.finite import finite

FILE = Path("backtest") / "backtest.json"
CURVE = "backtest_curve"
MOST_ROWS = 2000
MOST_OTHERS = 60
MOST_POINTS = 100  # of a curve

# the tables of a back-test, told apart by columns that only they have
_TABLES = {
    "differences": {"forecast", "baseline", "difference"},
    "metrics": {"score", "metric", "value"},
    "curve": {"precision", "recall"},
    "reliability": {"forecast", "observed"},
    "doses": {"model", "dose", "memorized", "sequences"},
}


def backtest(folder: Path) -> Row | None:
    """Return `backtest` of report.json: its tables by name, and its single facts.

    None without a back-test. A file that is no JSON object counts as none: the report does not fail
    for it.
    """
    try:
        data = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    found: Row = {name: [] for name in _TABLES} | {"facts": {}, "others": {}, "caveats": []}
    for key, value in _leaves(data):
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            name = next(
                (name for name, columns in _TABLES.items() if columns <= value[0].keys()), None
            )
            rows = [finite(row) for row in value[:MOST_ROWS]]
            if name and not found[name]:
                found[name] = rows
            else:
                found["others"][key] = rows[:MOST_OTHERS]
        elif isinstance(value, list) and all(isinstance(text, str) for text in value):
            found["caveats"] += value
        elif isinstance(value, str | int | float | bool):
            found["facts"][key] = finite(value)
    found["curve"] = found["curve"] or _curve(folder)
    return found


def _curve(folder: Path) -> list[Row]:
    """Return points of the precision-recall curves of the first stratum, from a table of their own.

    A curve of few points keeps all of them: between two it falls, and one left out would hide that.
    """
    paths = sorted((folder / FILE).parent.glob(f"{CURVE}/*.parquet"))
    if not paths or not _TABLES["curve"] <= set(pq.read_schema(paths[0]).names):
        return []
    table = pq.ParquetFile(paths[0]).read()
    rows = table.to_pylist()
    headline = [row for row in rows if row.get("stratum") == rows[0].get("stratum")]
    scores = list(dict.fromkeys(row.get("score") for row in headline))
    curves = [[row for row in headline if row.get("score") == score] for score in scores]
    return [finite(row) for curve in curves for row in _thinned(curve)]


def _thinned(rows: list[Row]) -> list[Row]:
    """Return at most MOST_POINTS of the rows, the first and the last among them."""
    most = min(MOST_POINTS, len(rows))
    places = {round(k * (len(rows) - 1) / max(1, most - 1)) for k in range(most)}
    return [rows[place] for place in sorted(places)]


def digest(folder: Path) -> str:
    """Return the digest of the file of the back-test; empty without one."""
    try:
        return hashlib.blake2b((folder / FILE).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return ""


def _leaves(data: Mapping[str, Any], depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dictionaries, each with its path as its name."""
    for key, value in data.items():
        if isinstance(value, dict) and depth:
            yield from ((f"{key} {inner}", part) for inner, part in _leaves(value, depth - 1))
        else:
            yield key, value
