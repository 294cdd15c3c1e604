import pyarrow as pa
import pytest

from pipeline.engine import former
from pipeline.engine.former import FormerRows
from pipeline.engine.tables import read_batches, write_table
from schemas.scan.links import LINKS

ROWS = [(1, 5), (1, 6), (3, 4), (7, 8), (7, 9), (7, 10), (12, 20)]


@pytest.fixture(params=[1, 2, 100])
def path(tmp_path, request):
    """Return a file of rows in groups of so many."""
    with write_table(tmp_path, "links", "all", LINKS, group=request.param) as out:
        out.write(pa.Table.from_pylist([{"a": a, "b": b} for a, b in ROWS], LINKS))
    return tmp_path / "links" / "all.parquet"


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 12)],
        [(0, 0), (0, 1), (1, 3), (4, 7), (8, 12)],
        [(7, 7), (7, 7), (7, 7)],
        [(2, 2), (3, 6), (40, 40)],
        [(11, 11), (12, 12), (12, 14)],
        [(0, 1), (7, 12)],
        [(12, 12)],
    ],
)
def test_rows_come_between_keys_and_those_of_the_last_one_again(path, spans):
    """Each call gives the rows of its own keys, whatever lies between them and those before."""
    rows = FormerRows(path, LINKS)
    for first, last in spans:
        found = rows.between(first, last)
        assert found.schema.names == LINKS.names
        pairs = list(zip(found["a"].to_pylist(), found["b"].to_pylist(), strict=True))
        assert pairs == [row for row in ROWS if first <= row[0] <= last]


def test_what_lies_between_the_keys_is_not_held(tmp_path, monkeypatch):
    """Of a long file of which the ends are asked for, one group at most is held at a time."""
    with write_table(tmp_path, "links", "all", LINKS, group=10) as out:
        out.write(pa.table({"a": range(5000), "b": range(5000)}, LINKS))
    sizes, joined = [], pa.concat_tables

    def noted(held):
        sizes.append(sum(map(len, held)))
        return joined(held)

    monkeypatch.setattr(pa, "concat_tables", noted)
    monkeypatch.setattr(former, "read_batches", lambda path, names: read_batches(path, names, 10))
    rows = FormerRows(tmp_path / out.path, LINKS)
    assert [rows.between(*span).num_rows for span in ((0, 3), (4990, 4999))] == [4, 10]
    assert max(sizes) <= 20


def test_a_file_without_rows_has_none(tmp_path):
    """Where nothing was written last there is nothing to go on from."""
    with write_table(tmp_path, "links", "all", LINKS) as out:
        pass
    rows = FormerRows(tmp_path / out.path, LINKS)
    assert [rows.between(0, key).num_rows for key in (0, 9)] == [0, 0]
