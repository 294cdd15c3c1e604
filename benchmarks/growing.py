"""What a scan and a filter cost after a share of the corpus was added, removed or replaced.

usage: python benchmarks/growing.py CORPUS [--shares 1,10,50] [--kinds add,remove,replace]
       [--by source] [--last] [--no-anew] [--memory 2GB] [--out JSON] [--work FOLDER]

The rows of a corpus in Parquet are dealt into a hundred files, in their order, so that the copies of
a row lie anywhere; or in the order of a column, so that a new file is of other sources than those
that are there, as the shards of a nightly crawl of new sources are. A run is made of those that
stay, then brought up to date after the change; both by `rote scan --filter` in a process of its own.
The first files in the order of their names change, whose rows come before all others where two
are equally good, or with --last the last ones, as new shards of a corpus mostly are.

Beside the cost stands what must hold: the tables and kept/ have the rows of a run made anew (numbers
of shards apart), compared as sorted rows of the documents and their decisions. With --no-anew that
is left out, the changes follow one another in one run folder (what was added is what is removed),
and the cost is told as a share of its first run alone: for corpora of which there is time for one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
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


def change(kind: str, files: list[Path], corpus: Path) -> None:
    """Take, bring or rewrite some files of a corpus."""
    for path in files:
        own = corpus / path.name
        if kind == "remove":
            own.unlink()
        elif kind == "replace":  # by the same rows in another order
            rows = pq.read_table(path)
            order = pa.array(range(rows.num_rows - 1, -1, -1))
            pq.write_table(rows.take(order), own, compression="zstd")
        else:
            shutil.copy2(path, own)


def row(
    kind: str, share: int, files: list[Path], work: Path, asked: argparse.Namespace
) -> dict[str, Any]:
    """Measure one change against the first run and one made anew."""
    changed = changing(share, files, last=asked.last)
    corpus, out, anew = (work / name for name in ("corpus", "run", "anew"))
    first = begun(kind, changed, files, work, asked.memory)
    change(kind, changed, corpus)
    after = measured(corpus, out, asked.memory)
    fresh = measured(corpus, anew, asked.memory)
    if not decided(out).equals(decided(anew)):
        raise SystemExit(f"{kind} {share}%: another result than a run made anew")
    told = {"change": kind, "share": share, "first": first, "after": after}
    return {**told, "anew": fresh, "same": True}


def changing(share: int, files: list[Path], *, last: bool) -> list[Path]:
    """Return the files that change."""
    count = share * FILES // 100
    return files[-count:] if last else files[:count]


def begun(
    kind: str, changed: list[Path], files: list[Path], work: Path, memory: str
) -> dict[str, float]:
    """Make the corpus as it is before a change, and its first run; return what that used."""
    for name in ("corpus", "run", "anew"):
        shutil.rmtree(work / name, ignore_errors=True)
    (work / "corpus").mkdir()
    for path in files:
        if kind != "add" or path not in changed:
            shutil.copy2(path, work / "corpus")
    return measured(work / "corpus", work / "run", memory)


def following(
    share: int, files: list[Path], work: Path, asked: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Measure changes that follow one another in one run folder."""
    changed, kinds = changing(share, files, last=asked.last), asked.kinds.split(",")
    first = begun(kinds[0], changed, files, work, asked.memory)
    for kind in kinds:
        change(kind, changed, work / "corpus")
        after = measured(work / "corpus", work / "run", asked.memory)
        yield {"change": kind, "share": share, "first": first, "after": after}


def show(one: dict[str, Any]) -> None:
    """Print a row of the table."""
    after = one["after"]["cpu_s"]
    told = [one.get(name, {}).get("cpu_s") for name in ("first", "anew")]
    shares = [f"{cpu} | {after / cpu:.3f}" if cpu else " | " for cpu in told]
    print(f"| {one['change']} | {one['share']}% | {after} | {' | '.join(shares)} |", flush=True)


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--shares", default="1,10,50")
    parser.add_argument("--kinds", default="add,remove,replace")
    parser.add_argument("--by", default="", help="column in whose order the rows are dealt")
    parser.add_argument("--last", action="store_true", help="the last files change")
    parser.add_argument("--no-anew", action="store_true", help="make no run anew")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    rows = []
    print("| change | share | CPU s | first: CPU s | share of it | anew: CPU s | share of it |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        work = Path(name)
        files = deal(asked.corpus, work / "files", asked.by)
        warm = work / "few"
        warm.mkdir()
        shutil.copy2(files[0], warm)
        measured(warm, work / "warm", asked.memory)
        shutil.rmtree(work / "warm")
        for share in map(int, asked.shares.split(",")):
            each = (row(kind, share, files, work, asked) for kind in asked.kinds.split(","))
            for one in following(share, files, work, asked) if asked.no_anew else each:
                rows.append(one)
                show(one)
    if asked.out:
        which = {"by": asked.by, "last": asked.last, "memory": asked.memory}
        record = {"machine": machine(), "corpus": asked.corpus.name, **which, "rows": rows}
        asked.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
