"""Scan and filter against a plain PyArrow copy of the same shards, on the same cores, in one run.

usage: python benchmarks/scan.py CORPUS [--truth FOLDER] [--repeat N] [--out JSON]

Each side runs in a child process of its own, so that peak memory is its own. Time is taken inside
the child, after imports and a scan of a tiny corpus, which compiles or loads every kernel (the cost
is printed beside it). TRUTH is a folder with pairs.parquet (id_a, id_b, jaccard; exact, >= 0.5), exact_groups.parquet
(group, id) and window_docs.parquet (id, max_count, covered_words) by the definitions in
docs/ARCHITECTURE.md; without it only speed is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from machine import machine
from processes import CHILD, answer_of


def copy(corpus: Path, out: Path) -> dict[str, Any]:
    """Read every shard and write it again, as a user's shortest program would."""
    begun = time.perf_counter()
    rows = 0
    for path in sorted(corpus.rglob("*.parquet")):
        target = out / path.relative_to(corpus)
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            pq.ParquetFile(path) as file,
            pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer,
        ):
            for batch in file.iter_batches(8192):
                writer.write_batch(batch)
                rows += batch.num_rows
    return {"seconds": time.perf_counter() - begun, "rows": rows}


def rote(corpus: Path, out: Path, memory: int = 0) -> None:
    """Scan and filter without an orchestrator."""
    from flows.runners import LocalMapper
    from pipeline import run
    from pipeline.config.sections import Config, LimitsConfig
    from pipeline.engine.memory import workers_of

    config = Config(limits=LimitsConfig(memory=memory))
    mapper = LocalMapper(workers_of(config))
    with run.session(out, config, mapper, corpus=[str(corpus)]) as session:
        run.scan(session)
        run.filter_rows(session)


def start(corpus: Path, memory: int) -> float:
    """Import all and run over a tiny corpus of near copies; return the seconds."""
    begun = time.perf_counter()
    first = min(corpus.glob("*.parquet"))
    rows = next(pq.ParquetFile(first).iter_batches(64, columns=["text"]))
    rows = pa.Table.from_batches([rows])
    texts = pc.binary_join_element_wise(rows["text"], "one more word", " ")
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder) / "tiny"
        tiny.mkdir()
        rows = pa.concat_tables([rows, rows.set_column(0, "text", texts)])
        pq.write_table(rows, tiny / "part.parquet")
        rote(tiny, Path(folder) / "run", memory)
    return time.perf_counter() - begun


def scan(corpus: Path, out: Path, memory: int = 0) -> dict[str, Any]:
    """Scan and filter the corpus; return seconds and those of each stage that ran."""
    startup = start(corpus, memory)
    events = out / "events" / "stages.jsonl"
    before = len(events.read_text().splitlines()) if events.exists() else 0
    begun = time.perf_counter()
    rote(corpus, out, memory)
    seconds = time.perf_counter() - begun
    stages: dict[str, float] = {}
    for line in events.read_text().splitlines()[before:]:
        event = json.loads(line)
        if event["event"] != "unit":
            continue
        stages[event["stage"]] = max(stages.get(event["stage"], 0.0), event["elapsed_s"])
    return {"seconds": seconds, "startup": startup, "stages": stages}


def child(side: str, corpus: Path, out: Path) -> dict[str, Any]:
    """Run one side in a process of its own and return its figures with peak memory in MB."""
    return dict(answer_of([__file__, str(corpus)], [side, str(out)]))


PAIRS = """
    select p.jaccard, x.doc_id as id_a, y.doc_id as id_b, x.text_hash as hash_a, y.text_hash as hash_b,
        x.keeper is not null or y.keeper is not null as removed
    from truth_pairs as p
    inner join documents as x on p.id_a = x.doc_id
    inner join documents as y on p.id_b = y.doc_id"""
LISTED = """
    select least(x.text_hash, y.text_hash) as low, greatest(x.text_hash, y.text_hash) as high
    from pairs as p
    inner join documents as x on p.a = x.row_key
    inner join documents as y on p.b = y.row_key"""
QUALITY = {
    "recall_removed_0.8": "select avg(removed::int) from held where jaccard >= 0.8",
    "recall_listed_0.5_0.8": """
        select avg((l.low is not null)::int)
        from (select distinct least(hash_a, hash_b) as low, greatest(hash_a, hash_b) as high
              from held where jaccard < 0.8) as h
        left join (select distinct low, high from listed) as l on h.low = l.low and h.high = l.high""",
    "removed": "select count(keeper) from documents",
    "removals_below_0.8": """
        select count(*) from documents as d
        left join truth_pairs as p
            on p.id_a = least(d.doc_id, d.keeper_doc_id) and p.id_b = greatest(d.doc_id, d.keeper_doc_id)
        where d.method = 'near' and coalesce(p.jaccard, 0) < 0.8""",
    "wrong_exact_counts": """
        select count(*) from documents as d
        left join (select id, count(*) over (partition by "group") as n from groups) as g on d.doc_id = g.id
        where d.exact_count <> coalesce(g.n, 1)""",
    "wrong_window_counts": """
        select count(*) from documents as d
        inner join windows as w on d.doc_id = w.id
        where greatest(d.max_window_count, 1) <> greatest(w.max_count, 1)
            or d.repeated_words <> w.covered_words""",
}


def quality(out: Path, truth: Path) -> dict[str, float]:
    """Hold the run against exact truth: recall of pairs, wrong removals, wrong counts."""
    connection = duckdb.connect()
    tables = {
        "documents": out / "documents" / "all.parquet",
        "pairs": out / "pairs" / "all.parquet",
        "truth_pairs": truth / "pairs.parquet",
        "windows": truth / "window_docs.parquet",
        "groups": truth / "exact_groups.parquet",
    }
    for name, path in tables.items():
        connection.register(name, pq.read_table(path))
    connection.register("held", connection.sql(PAIRS).to_arrow_table())
    connection.register("listed", connection.sql(LISTED).to_arrow_table())
    return {name: connection.sql(query).fetchall()[0][0] for name, query in QUALITY.items()}


def measure(corpus: Path, truth: Path | None, repeat: int) -> dict[str, Any]:
    """Run both sides `repeat` times, interleaved, and return every figure."""
    runs: dict[str, list[dict[str, Any]]] = {"copy": [], "scan": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeat):
            for side, figures in runs.items():
                out = Path(folder) / side
                shutil.rmtree(out, ignore_errors=True)
                figures.append(child(side, corpus, out))
        held = quality(Path(folder) / "scan", truth) if truth else {}
    middle = {
        side: statistics.median(run["seconds"] for run in figures) for side, figures in runs.items()
    }
    return {
        "machine": machine(),
        "runs": runs,
        "median_seconds": middle,
        "ratio": middle["scan"] / middle["copy"],
        "quality": held,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as one table."""
    print(f"{'':<12}{'seconds':>10}{'peak MB':>10}")
    for side, figures in result["runs"].items():
        peak = max(run["peak_mb"] for run in figures)
        print(f"{side:<12}{result['median_seconds'][side]:>10.2f}{peak:>10.0f}")
    print(
        f"scan + filter over copy: {result['ratio']:.1f}x (start-up {result['runs']['scan'][-1]['startup']:.1f} s apart)"
    )
    shares = result["runs"]["scan"][-1]["stages"]
    print("stages, s: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in shares.items()))
    for name, value in result["quality"].items():
        print(f"{name:<26}{value:>10.4f}" if isinstance(value, float) else f"{name:<26}{value:>10}")


def main() -> None:
    """Read the arguments, measure, show, record."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("corpus", type=Path)
    arguments.add_argument("--truth", type=Path)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    if CHILD in os.environ:
        side, out = json.loads(os.environ[CHILD])
        figures = {"copy": copy, "scan": scan}[side](asked.corpus, Path(out))
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(figures))
        return
    result = measure(asked.corpus, asked.truth, asked.repeat)
    show(result)
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
