"""What a dry run tells of time, memory and disk, beside what the scan and the filter then took.

usage: python benchmarks/expected.py CORPUS... [--set a.b=c] [--out JSON]

Each corpus is scanned and filtered once by the command line in a process of its own, after one that
loads every kernel. Seconds are wall time, start-up included; disk is the run folder at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scan import machine

from pipeline.config.load import load_config
from pipeline.engine.manifest import load_manifest
from pipeline.engine.memory import plan
from pipeline.engine.shards import active_shards
from pipeline.expected import expected, seconds
from pipeline.outline import outline


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows_of: list[dict[str, object]] = []
    print("| corpus | text MB told | is | rows told | are | s told | took | MB of memory at least"
          " | peak | MB of disk told | is |")  # fmt: skip
    print("|---|" + "---:|" * 10)
    config = load_config(settings=asked.set)
    with tempfile.TemporaryDirectory() as work:
        for corpus in (asked.corpus[0], *asked.corpus):
            out = Path(work) / f"run{len(list(Path(work).iterdir()))}"
            manifest = outline(out, config, [str(corpus)]).manifest
            told = expected(manifest, config)
            wall = seconds(told, config)
            took, peak, cpu = measured(corpus, out, asked.set)
            shards = load_manifest(out)["corpus"]["shards"]
            rows = sum(shard["documents"] for shard in shards)
            disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            least = plan(manifest, active_shards(manifest), config).smallest
            rows_of.append(
                {
                    "corpus": corpus.name,
                    "text_mb_told": told.text_bytes / 1e6,
                    "text_mb": text_bytes(out) / 1e6,
                    "rows_told": told.documents,
                    "rows": rows,
                    "seconds_told": wall,
                    "seconds": took,
                    "cpu_s": cpu,
                    "memory_mb_told": least / 1e6,
                    "memory_mb": peak,
                    "disk_mb_told": told.disk / 1e6,
                    "disk_mb": disk / 1e6,
                }
            )
            print(
                f"| {corpus.name} | {told.text_bytes / 1e6:.0f} | {text_bytes(out) / 1e6:.0f} "
                f"| {told.documents:,} | {rows:,} | {wall:.1f} | {took:.1f} "
                f"| {least / 1e6:.0f} | {peak:.0f} "
                f"| {told.disk / 1e6:.0f} | {disk / 1e6:.0f} |",
                flush=True,
            )
    if asked.out:  # the first loads the kernels
        record = {"machine": machine(), "settings": asked.set, "rows": rows_of[1:]}
        asked.out.write_text(json.dumps(record, indent=1) + "\n")


def measured(corpus: Path, out: Path, settings: list[str]) -> tuple[float, float, float]:
    """Scan and filter a corpus; return wall seconds, peak memory in MB and CPU seconds."""
    code = "import sys; from flows.cli import main; sys.argv[0] = 'rote'; main()"
    chosen = [part for setting in settings for part in ("--set", setting)]
    arguments = ["scan", str(corpus), "--out", str(out), "--filter", "--local", *chosen]
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{corpus}: exit code {process.returncode}")
    seconds = time.perf_counter() - began
    return seconds, used.ru_maxrss / 1000, used.ru_utime + used.ru_stime


def text_bytes(out: Path) -> int:
    """Return how much text a run has counted."""
    import pyarrow.parquet as pq

    files = sorted((out / "counts").rglob("*.parquet"))
    return sum(
        int(pq.read_table(file, columns=["text_bytes"])[0].to_numpy().sum()) for file in files
    )


if __name__ == "__main__":
    main()
