"""What a scan and a filter cost after a share of the corpus was added, removed or replaced.

usage: python benchmarks/growing.py CORPUS [--shares 1,10,50] [--kinds add,remove,replace]
       [--by source] [--memory 2GB] [--out JSON] [--work FOLDER]

The rows of a corpus in Parquet are dealt into a hundred files, in their order, so that the copies of
a row lie anywhere; or in the order of a column, so that a new file is of other sources than those
that are there, as the shards of a nightly crawl of new sources are. A run is made of those that
stay, then brought up to date after the change; both by `rote scan --filter` in a process of its own.
Beside the cost stands what must hold: the tables and kept/ have the rows of a run made anew (numbers
of shards apart), compared as sorted rows of the documents and their decisions.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from processes import command
from scan import machine

FILES = 100


def deal(corpus: Path, out: Path, by: str = "") -> list[Path]:
    """Write the rows of a corpus as a hundred files, in the order of a column if asked."""
    out.mkdir(parents=True)
    rows = pa.concat_tables([pq.read_table(path) for path in sorted(corpus.glob("*.parquet"))])
    if by:
        place = pa.array(range(rows.num_rows))
        rows = rows.append_column("place", place).sort_by(
            [(by, "ascending"), ("place", "ascending")]
        )
        rows = rows.drop_columns(["place"])
    size = -(-rows.num_rows // FILES)
    files = []
    for number in range(FILES):
        files.append(out / f"part-{number:02}.parquet")
        pq.write_table(rows.slice(number * size, size), files[-1], compression="zstd")
    return files


def measured(corpus: Path, out: Path, memory: str) -> dict[str, float]:
    """Scan and filter a corpus; return wall and CPU seconds and what each stage took."""
    options = ["--out", str(out), "--filter", "--local", "--set", f"limits.memory={memory}"]
    used = command("scan", str(corpus), *options)
    return {"wall_s": round(used.wall_s, 2), "cpu_s": round(used.cpu_s, 2)}


def decided(out: Path) -> pa.Table:
    """Return what a run says of each text, whatever the numbers of its shards."""
    names = [
        "doc_id",
        "text_bytes",
        "exact_count",
        "near_count",
        "max_window_count",
        "keeper_doc_id",
    ]
    paths = sorted((out / "documents").rglob("*.parquet"))
    table = pa.concat_tables([pq.read_table(path, columns=names) for path in paths])
    return table.sort_by([(name, "ascending") for name in names])


def change(kind: str, count: int, files: list[Path], corpus: Path) -> None:
    """Take, bring or rewrite some files of a corpus."""
    for path in files[:count]:
        own = corpus / path.name
        if kind == "remove":
            own.unlink()
        elif kind == "replace":  # by the same rows in another order
            rows = pq.read_table(path)
            order = pa.array(range(rows.num_rows - 1, -1, -1))
            pq.write_table(rows.take(order), own, compression="zstd")
        else:
            shutil.copy2(path, own)


def row(kind: str, share: int, files: list[Path], work: Path, memory: str) -> dict[str, Any]:
    """Measure one change against a run made anew."""
    count = share * FILES // 100
    corpus, out, anew = (work / name for name in ("corpus", "run", "anew"))
    for folder in (corpus, out, anew):
        shutil.rmtree(folder, ignore_errors=True)
    corpus.mkdir()
    for path in files[count:] if kind == "add" else files:
        shutil.copy2(path, corpus)
    measured(corpus, out, memory)
    change(kind, count, files, corpus)
    after = measured(corpus, out, memory)
    fresh = measured(corpus, anew, memory)
    same = decided(out).equals(decided(anew))
    if not same:
        raise SystemExit(f"{kind} {share}%: another result than a run made anew")
    return {"change": kind, "share": share, "after": after, "anew": fresh, "same": same}


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--shares", default="1,10,50")
    parser.add_argument("--kinds", default="add,remove,replace")
    parser.add_argument("--by", default="", help="column in whose order the rows are dealt")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    rows = []
    print("| change | share | wall s | CPU s | anew: wall s | CPU s | share of CPU | same |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        work = Path(name)
        files = deal(asked.corpus, work / "files", asked.by)
        measured(files[0].parent, work / "warm", asked.memory)
        shutil.rmtree(work / "warm")
        for share in map(int, asked.shares.split(",")):
            for kind in asked.kinds.split(","):
                rows.append(row(kind, share, files, work, asked.memory))
                after, anew = rows[-1]["after"], rows[-1]["anew"]
                print(
                    f"| {kind} | {share}% | {after['wall_s']} | {after['cpu_s']} "
                    f"| {anew['wall_s']} | {anew['cpu_s']} "
                    f"| {after['cpu_s'] / anew['cpu_s']:.2f} | {rows[-1]['same']} |",
                    flush=True,
                )
    if asked.out:
        record = {"machine": machine(), "corpus": asked.corpus.name, "by": asked.by}
        record["rows"] = rows
        asked.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
