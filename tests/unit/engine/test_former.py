import pyarrow as pa
import pytest

from pipeline.engine.former import FormerRows
from pipeline.engine.tables import write_table
from schemas.scan.links import LINKS

ROWS = [(1, 5), (1, 6), (3, 4), (7, 8), (7, 9), (7, 10), (12, 20)]


@pytest.fixture(params=[1, 2, 100])
def path(tmp_path, request):
    """Return a file of rows in groups of so many."""
    with write_table(tmp_path, "links", "all", LINKS, group=request.param) as out:
        out.write(pa.Table.from_pylist([{"a": a, "b": b} for a, b in ROWS], LINKS))
    return tmp_path / "links" / "all.parquet"


@pytest.mark.parametrize(
    "keys", [[12], [0, 1, 3, 7, 12], [7, 7, 7], [2, 6, 40], [11, 12, 13, 14], [0]]
)
def test_rows_come_up_to_a_key_and_those_of_the_last_one_again(path, keys):
    """Each call gives the rows from the key of the call before up to its own."""
    rows, before = FormerRows(path, LINKS), -1
    for key in keys:
        found = rows.upto(key)
        assert found.schema.names == LINKS.names
        pairs = list(zip(found["a"].to_pylist(), found["b"].to_pylist(), strict=True))
        assert pairs == [row for row in ROWS if before <= row[0] <= key]
        before = key


def test_a_file_without_rows_has_none(tmp_path):
    """Where nothing was written last there is nothing to go on from."""
    with write_table(tmp_path, "links", "all", LINKS) as out:
        pass
    rows = FormerRows(tmp_path / out.path, LINKS)
    assert [rows.upto(key).num_rows for key in (0, 9)] == [0, 0]
