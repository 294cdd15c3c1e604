import ast
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import Config
from pipeline.engine import query
from pipeline.engine.stage import Work
from pipeline.errors import IntegrityError, OutOfMemory
from pipeline.scan.near.candidates import MET
from schemas.scan.candidates import CANDIDATES
from schemas.scan.copies import COPIES
from schemas.scan.pairs import PAIRS
from schemas.scan.signatures import SIGNATURES

ROOT = Path(__file__).resolve().parents[3]
SQL = ROOT / "sql"
SENTENCE = re.compile(
    r"\b(select\b.+\bfrom\b|insert\s+into|create\s+(or\s+replace\s+)?(temp\s+)?(table|view|macro)"
    r"|read_parquet|copy\s+\w+\s+to\b|attach\s+')",
    re.IGNORECASE | re.DOTALL,
)
ENGINE_CALLS = {"sql", "execute", "executemany", "from_query", "read_parquet", "query_df"}


def modules():
    """Return the path and the syntax tree of every module that could run SQL."""
    paths = [
        p for folder in ("pipeline", "flows", "schemas") for p in (ROOT / folder).rglob("*.py")
    ]
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(paths)]


def docstrings(tree):
    """Return the string nodes of a module that are docstrings."""
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, holders) and node.body and isinstance(node.body[0], ast.Expr)
    }


def text_of(node):
    """Return the text of a string literal, or the fixed parts of an f-string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return " ".join(text_of(part) for part in node.values if isinstance(part, ast.Constant))
    return ""


def test_no_module_holds_sql_in_a_string():
    """No literal, f-string, `%` or `format` template in the code is a statement: SQL is in sql/."""
    found = []
    for path, tree in modules():
        prose = docstrings(tree)
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.expr)
            and id(node) not in prose
            and SENTENCE.search(text_of(node))
        ]
    assert found == []


def test_the_search_for_sql_finds_sql():
    """The pattern of the test above knows the ways in which SQL gets into code."""
    for text in (
        "select a from b where c = %s",
        "SELECT *\nFROM {}",
        "create or replace view x as",
        "copy t to 'file'",
        "insert into t values",
    ):
        assert SENTENCE.search(text)
    assert not SENTENCE.search("select a stage; the rows come later")


def test_one_place_runs_sql_and_only_from_a_file():
    """DuckDB is imported by query.py alone, which runs the text of a file and nothing else."""
    importers, calls = set(), []
    for path, tree in modules():
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "duckdb" for name in names):
                importers.add(path.relative_to(ROOT).as_posix())
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ENGINE_CALLS
            ):
                calls.append((path.relative_to(ROOT).as_posix(), ast.unparse(node)))
    assert importers == {"pipeline/engine/query.py"}
    settings = [
        call
        for _, call in calls
        if call.startswith(("connection.execute('set ", "connection.execute('reset "))
    ]
    assert len(settings) == 4  # fixed words, bound values
    assert sorted(call for call in calls if call[1] not in settings) == [
        # whole files into a database, which is no statement
        ("pipeline/engine/query.py", "connection.read_parquet(paths, union_by_name=True)"),
        ("pipeline/engine/query.py", "connection.sql(statement(name), params=bound or None)"),
    ]


def test_every_query_of_the_scan_and_the_filter_has_a_test():
    """Each file of sql/, but those of the report and of explain, is run by name in a unit test."""
    tests = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests/unit").rglob("test_*.py"))
    names = [
        path.relative_to(SQL).with_suffix("").as_posix()
        for path in sorted(SQL.rglob("*.sql"))
        if path.parent.relative_to(SQL).parts[0] not in {"report", "explain"}
    ]
    assert len(names) >= 8
    assert [name for name in names if f'"{name}"' not in tests] == []


def test_every_query_says_its_grain_its_inputs_and_its_order():
    """The first lines tell grain, inputs and params; a statement is one and ordered."""
    for path in sorted(SQL.rglob("*.sql")):
        lines = path.read_text(encoding="utf-8").splitlines()
        starts = [line.split(":")[0] for line in lines[:3]]
        assert starts == ["-- grain", "-- inputs", "-- params"], path.name
        body = "\n".join(line for line in lines if not line.startswith("--"))
        assert "order by" in body, path.name
        assert ";" not in body.rstrip().rstrip(";"), path.name


def hashed(stored, *numbers):
    """Write documents whose text hashes are so many different numbers; return the input."""
    texts = [number.to_bytes(16, "big") for number in numbers]
    return stored(SIGNATURES, row_key=list(range(len(texts))), text_hash=texts)


def test_files_and_params_are_bound(stored, tmp_path):
    """A path with a quote, a semicolon and a dollar is a path: it is bound, not pasted."""
    [path] = hashed(stored, 7, 7)
    odd = path.rename(tmp_path / "it's; drop $1 --")
    found = query.run("scan/copies", {"signatures": [odd]}, schema=COPIES)
    expected = [{"row_key": n, "representative": 0, "exact_count": 2} for n in range(2)]
    assert found.to_pylist() == expected


def test_an_arrow_table_and_a_reader_are_inputs():
    """A table or a stream of batches is seen under its name."""
    met = pa.table([[8, 2, 8], [9, 3, 9]], schema=MET)
    from_table = query.run("scan/candidates", {"met": met})
    reader = pa.RecordBatchReader.from_batches(MET, iter(met.to_batches(max_chunksize=1)))
    from_reader = query.run("scan/candidates", {"met": reader})
    assert from_table.to_pylist() == from_reader.to_pylist() == [{"a": 2, "b": 3}, {"a": 8, "b": 9}]


def test_a_stream_gives_the_same_rows_in_order(stored):
    """Rows come in order whatever the size of a batch, and the schema is the query's."""
    paths = hashed(stored, *(n % 2500 for n in range(5000)))
    whole = query.run("scan/copies", {"signatures": paths})
    batches = list(query.stream("scan/copies", {"signatures": paths}, rows=100))
    assert [batch.num_rows for batch in batches] == [100] * 50
    assert pa.Table.from_batches(batches).equals(whole)
    assert whole["row_key"].to_pylist() == list(range(5000))


def mixed(count, modulus):
    """Return pairs in no order, each several times."""
    own = pa.array([(n * 2654435761) % modulus for n in range(count)], pa.uint64())
    return pa.table([own, own], schema=MET)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_batches_of_a_stream_do_not_depend_on_threads(threads):
    """All batches but the last have the rows asked for: files are written by batch, so their bytes
    depend on it.
    """
    met = mixed(400_000, 150_001)
    limits = query.Limits(0, threads)
    batches = list(query.stream("scan/candidates", {"met": met}, limits=limits, rows=40_000))
    assert [batch.num_rows for batch in batches] == [40_000, 40_000, 40_000, 30_001]
    assert pa.Table.from_batches(batches)["a"].to_pylist() == list(range(150_001))


def test_threads_and_memory_do_not_change_the_result(tmp_path):
    """Any number of threads, with a small memory and a spill folder, gives the same bytes."""
    met = mixed(200_000, 65_537)
    spill = tmp_path / "spill"
    spill.mkdir()
    results = [
        query.run("scan/candidates", {"met": met}, limits=query.Limits(memory, threads, spill))
        for memory, threads in ((0, 1), (0, 4), (64 << 20, 2))
    ]
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])
    assert list(spill.iterdir()) == []


@pytest.mark.parametrize("ask", [query.run, query.stream])
def test_too_little_memory_is_said_as_that(tmp_path, ask):
    """A query that does not fit says so, also where it does while its rows are read."""
    limits = query.Limits(1 << 20, 2, tmp_path)
    with pytest.raises(OutOfMemory, match="ran out of memory"):
        list(ask("scan/candidates", {"met": mixed(200_000, 65_537)}, limits=limits))


@pytest.mark.parametrize(("memory", "threads"), [(0, 4), (30, 1), (450, 1), (900, 2), (9_000, 4)])
def test_a_query_has_as_many_threads_as_its_memory_bears(tmp_path, memory, threads):
    """Two threads within 150 MB ran out of memory over 880,000 documents, where one does it."""
    work = Work("counts", "all", tmp_path, Config(), (), {}, cores=4, memory=memory * 10**6)
    assert query.limits(work).threads == threads


def test_a_failing_query_is_named(tmp_path):
    """An engine error becomes an IntegrityError that names the query."""
    with pytest.raises(IntegrityError) as failed:
        query.run("scan/copies", {"signatures": [tmp_path / "absent"]})
    assert failed.value.where == "sql/scan/copies.sql"


def test_a_query_that_fails_while_streaming_is_named():
    """An input that breaks off in the middle is an error of the query, not a short result."""

    def batches():
        yield pa.record_batch([[1], [2]], schema=MET)
        raise IntegrityError("A file is damaged.", where="signatures/g00000.parquet")

    reader = pa.RecordBatchReader.from_batches(MET, batches())
    with pytest.raises(IntegrityError) as failed:
        list(query.stream("scan/candidates", {"met": reader}))
    assert "signatures/g00000.parquet" in str(failed.value)


def test_a_damaged_input_file_is_an_error_of_the_query(stored):
    """A file cut short does not count as fewer rows."""
    [path] = hashed(stored, 1, 1)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match="query failed"):
        query.run("scan/copies", {"signatures": [path]})


def test_a_result_is_conformed_to_its_schema():
    """Nullability and metadata, which DuckDB drops, are there again; a null where none may be
    stops.
    """
    met = pa.table([[1], [2]], schema=MET)
    found = query.run("scan/candidates", {"met": met}, schema=CANDIDATES)
    assert found.schema.equals(CANDIDATES, check_metadata=True)
    with pytest.raises(IntegrityError, match="does not have its schema"):
        query.run("scan/candidates", {"met": met}, schema=PAIRS)
    holed = pa.table([pa.array([1], pa.uint64()), pa.array([None], pa.uint64())], schema=MET)
    with pytest.raises(IntegrityError, match="A column has nulls"):
        query.run("scan/candidates", {"met": holed}, schema=CANDIDATES)


def test_python_variables_are_not_tables(monkeypatch):
    """Replacement scans are off: a name in a query is never a Python variable by accident."""
    monkeypatch.setattr(query, "statement", lambda _: "select count(*) as n from here order by n")
    here = pa.table({"n": [1]})
    assert here.num_rows == 1
    with pytest.raises(IntegrityError, match="here"):
        query.run("anything", {})


def test_nothing_is_left_in_the_spill_folder(stored, tmp_path):
    """The temporary folder of a query goes with it, also when it fails."""
    spill = tmp_path / "spill"
    spill.mkdir()
    limits = query.Limits(0, 1, spill)
    paths = hashed(stored, 1)
    query.run("scan/copies", {"signatures": paths}, limits=limits)
    next(query.stream("scan/copies", {"signatures": paths}, limits=limits), None)
    with pytest.raises(IntegrityError):
        query.run("scan/copies", {"signatures": [tmp_path / "absent"]}, limits=limits)
    assert list(spill.iterdir()) == []
    assert pq.read_table(paths[0]).num_rows == 1


def asked(monkeypatch, text, **limits):
    """Return the first row of a statement that is no file."""
    monkeypatch.setattr(query, "statement", lambda _: text)
    return query.run("any", {}, limits=query.Limits(**limits)).to_pylist()[0]


def test_a_database_waits_for_the_next_query_with_the_limits_of_that(monkeypatch, tmp_path):
    """Threads, memory and folder are those of each query, and no table of another is seen."""
    text = "select " + ", ".join(
        f"current_setting('{name}') as {name}"
        for name in ("threads", "memory_limit", "temp_directory", "enable_external_file_cache")
    )
    usual = asked(monkeypatch, text)
    [waiting] = query._IDLE
    first = asked(monkeypatch, text, threads=1, memory=10**9, spill=tmp_path)
    assert (first["threads"], first["memory_limit"]) == (1, "953.6 MiB")
    assert Path(first["temp_directory"]).parent == tmp_path
    assert first["enable_external_file_cache"] is False
    second = asked(monkeypatch, text, threads=2)
    assert (second["threads"], second["memory_limit"]) == (2, usual["memory_limit"])
    assert [waiting] == query._IDLE
    table = pa.table({"a": [1]})
    monkeypatch.setattr(query, "statement", lambda _: "from given")
    assert query.run("any", {"given": table}).to_pylist() == [{"a": 1}]
    with pytest.raises(IntegrityError, match="given"):
        query.run("any", {})
    assert query._IDLE == []


def test_a_database_that_put_data_aside_is_not_used_again(monkeypatch, tmp_path):
    """Its folder cannot be changed any more, and is gone with the query."""
    text = (
        "select count(*) as n from (select (i * 7919) % 1000003 as k, repeat('x', 40) || i as s "
        "from range(2000000) as t(i) order by s limit 1900000)"
    )
    found = asked(monkeypatch, text, threads=1, memory=60 * 2**20, spill=tmp_path)
    assert found == {"n": 1_900_000}
    assert query._IDLE == []
    assert [*tmp_path.iterdir()] == []
    assert asked(monkeypatch, "select 1 as n", spill=tmp_path) == {"n": 1}


def test_queries_side_by_side_have_a_database_each(monkeypatch):
    """A stream that is not at its end keeps its own."""
    monkeypatch.setattr(query, "statement", lambda _: "select unnest(range(5000)) as n order by n")
    rows = query.stream("any", {}, limits=query.Limits(threads=1), rows=1000)
    first = next(rows)
    assert query.run("any", {}, limits=query.Limits(threads=2)).num_rows == 5000
    assert first.num_rows + sum(batch.num_rows for batch in rows) == 5000
    assert len(query._IDLE) == 1
