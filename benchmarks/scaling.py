"""How time and memory grow with the corpus: scan and filter at several sizes, one memory budget.

usage: python benchmarks/scaling.py REAL --sizes 375,750,1500,3000 --memory 2GB
           [--families constant|growing] [--seed 1] [--work FOLDER] [--out JSON]

The corpora are made of the real text in REAL by benchmarks/corpora.py. Every step runs in a child
process of its own, so that peak memory is its own (Linux hands a parent's peak on to its children:
this process stays small). Start-up is apart: imports, and one run over a tiny corpus, which
compiles or loads every kernel (about 0.45 GB, the least peak there is). After the largest size the
same command runs again over its finished folder. A plain PyArrow copy of the same shards is taken
before and after each scan; the table has the mean.

Beside speed stand what must hold at any speed: no row is lost, of two planted exact copies one is
removed, nothing is removed in favour of a document of another family (families of constant size),
and the recall of planted near pairs, by exact Jaccard, of which one side must go at 0.8.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine
from processes import CHILD, answer_of
from scan import copy, scan

UNITS = {"GB": 10**9, "MB": 10**6}
QUALITY = {
    "exact_pairs": "select count(*) from pairs where kind = 'exact'",
    "exact_pairs_both_kept": "select count(*) from pairs where kind = 'exact' and not removed",
    "near_pairs_0.8": "select count(*) from pairs where kind = 'near' and jaccard >= 0.8",
    "recall_near_0.8": """
        select avg(removed::int) from pairs where kind = 'near' and jaccard >= 0.8""",
    "removed": "select count(keeper) from documents",
    "removed_across_families": """
        select count(*) from documents
        where split_part(doc_id, '/', 1) <> split_part(keeper_doc_id, '/', 1)""",
}
PAIRS = """
    select p.kind, p.jaccard, x.keeper is not null or y.keeper is not null as removed
    from planted as p
    inner join documents as x on p.id_a = x.doc_id
    inner join documents as y on p.id_b = y.doc_id"""


def quality(corpus: Path, out: Path) -> dict[str, Any]:
    """Hold a finished run against what was planted, and count its rows."""
    manifest = json.loads((out / "manifest.json").read_text())
    files = [file for entry in manifest["outputs"].values() for file in entry["files"]]
    connection = duckdb.connect()
    paths = [out / file["path"] for file in files if file["table"] == "documents"]
    columns = ["doc_id", "keeper", "keeper_doc_id"]
    documents = pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])
    connection.register("documents", documents)
    connection.register("planted", pq.read_table(beside(corpus) / "planted.parquet"))
    connection.register("pairs", connection.sql(PAIRS).to_arrow_table())
    held = {name: connection.sql(query).fetchall()[0][0] for name, query in QUALITY.items()}
    emitted = {
        table: sum(file["rows"] for file in files if file["table"] == table)
        for table in ("kept", "removed")
    }
    rejected = sum(sum(shard["rejected"].values()) for shard in manifest["corpus"]["shards"])
    rows = sum(pq.read_metadata(path).num_rows for path in corpus.glob("*.parquet"))
    return {**held, "rows_lost": rows - rejected - sum(emitted.values())}


def beside(corpus: Path) -> Path:
    """Return the folder of what was planted in a corpus."""
    return corpus.with_name(f"{corpus.name}.planted")


def child(side: str, corpus: Path, out: Path, memory: int) -> dict[str, Any]:
    """Run one side in a process of its own and return its figures with peak memory in MB."""
    return dict(answer_of([__file__], [side, str(corpus), str(out), memory]))


def answer(side: str, corpus: Path, out: Path, memory: int) -> dict[str, Any]:
    """Do the work of a child process."""
    if side == "scan":
        figures = scan(corpus, out, memory)
    else:
        figures = {"copy": copy, "quality": quality}[side](corpus, out)
    return {**figures, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def corpus_of(asked: argparse.Namespace, work: Path, size: int) -> tuple[Path, dict[str, Any]]:
    """Return a corpus of `size` MB and what it holds; an earlier one is used again."""
    out = work / f"{asked.families}-{size}"
    told = beside(out) / "corpus.json"
    wanted = {"families": asked.families, "megabytes": size, "seed": asked.seed}
    if not told.exists():
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(beside(out), ignore_errors=True)
        maker = Path(__file__).with_name("corpora.py")
        options = ["--mb", str(size), "--families", asked.families, "--seed", str(asked.seed)]
        subprocess.run(
            [sys.executable, maker, asked.real, out, *options],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    facts = json.loads(told.read_text())
    if any(facts[name] != value for name, value in wanted.items()):
        raise SystemExit(f"{out} is another corpus than {wanted}: remove it")
    return out, facts


def measure(asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run every size, each row printed as it is done, and the largest once more."""
    print(HEADER, flush=True)
    sizes = sorted({int(size) for size in asked.sizes.split(",")})
    runs: list[dict[str, Any]] = []
    out = work / "run"
    for size in sizes:
        shutil.rmtree(out, ignore_errors=True)
        corpus, facts = corpus_of(asked, work, size)
        before = plain(corpus, out)
        figures = child("scan", corpus, out, asked.memory)
        held = child("quality", corpus, out, asked.memory)
        copies = [before, plain(corpus, work / "copy")]
        runs.append({"corpus": facts, "copies": copies, "scan": figures, "quality": held})
        print(line(runs), flush=True)
    again = child("scan", corpus, out, asked.memory)
    shutil.rmtree(out)
    settings = {"families": asked.families, "memory": asked.memory, "seed": asked.seed}
    return {"machine": machine(), **settings, "runs": runs, "again": again}


def plain(corpus: Path, out: Path) -> dict[str, Any]:
    """Copy the shards and remove the copy; taken before and after a scan, for its mean."""
    figures = child("copy", corpus, out, 0)
    shutil.rmtree(out)
    return figures


HEADER = (
    f"{'MB':>7}{'documents':>11}{'seconds':>9}{'MB/s':>7}{'x last':>8}{'peak MB':>9}{'x first':>9}"
    f"{'copy s':>8}{'x copy':>8}{'start s':>9}"
)


def line(runs: list[dict[str, Any]]) -> str:
    """Return the table's row of the last run."""
    scanned, corpus = runs[-1]["scan"], runs[-1]["corpus"]
    copied = statistics.mean(run["seconds"] for run in runs[-1]["copies"])
    last = f"{scanned['seconds'] / runs[-2]['scan']['seconds']:.2f}" if len(runs) > 1 else ""
    megabytes = corpus["text_bytes"] / 1e6
    return (
        f"{megabytes:>7.0f}{corpus['documents']:>11}{scanned['seconds']:>9.1f}"
        f"{megabytes / scanned['seconds']:>7.1f}{last:>8}{scanned['peak_mb']:>9.0f}"
        f"{scanned['peak_mb'] / runs[0]['scan']['peak_mb']:>9.2f}{copied:>8.1f}"
        f"{scanned['seconds'] / copied:>8.1f}{scanned['startup']:>9.1f}"
    )


def show(result: dict[str, Any]) -> None:
    """Print what follows the table: the second run, the stages of the largest, the quality."""
    first, again = result["runs"][-1]["scan"], result["again"]
    print(
        f"second run, nothing changed: {again['seconds']:.2f} s, "
        f"{again['seconds'] / first['seconds']:.4f} of the first, {again['peak_mb']:.0f} MB, "
        f"stages run again: {', '.join(again['stages']) or 'none'}"
    )
    whole = sum(first["stages"].values())
    shares = (f"{name} {seconds / whole:.0%}" for name, seconds in first["stages"].items())
    print("stages of the largest: " + ", ".join(shares))
    for name in [*QUALITY, "rows_lost"]:
        if name == "removed_across_families" and result["families"] == "growing":
            continue
        values = (run["quality"][name] for run in result["runs"])
        told = (f"{value:.4f}" if isinstance(value, float) else f"{value}" for value in values)
        print(f"{name:<26}" + "".join(f"{value:>10}" for value in told))


def bytes_of(text: str) -> int:
    """Return the bytes of `2GB` or `500MB`."""
    if text[-2:] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text} does not end in {' or '.join(UNITS)}")
    return int(float(text[:-2]) * UNITS[text[-2:]])


def main() -> None:
    """Read the arguments, measure, show, record."""
    if CHILD in os.environ:
        side, corpus, out, memory = json.loads(os.environ[CHILD])
        print(json.dumps(answer(side, Path(corpus), Path(out), memory)))
        return
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("real", type=Path)
    arguments.add_argument("--sizes", default="375,750,1500,3000")
    arguments.add_argument("--memory", type=bytes_of, default="2GB")
    arguments.add_argument("--families", choices=("constant", "growing"), default="constant")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--work", type=Path, help="corpora are kept and used again here")
    arguments.add_argument("--out", type=Path)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(asked, asked.work or Path(folder))
    show(result)
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
