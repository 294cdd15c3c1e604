"""What a dry run tells of time, memory and disk, beside what the scan and the filter then took.

usage: python benchmarks/expected.py CORPUS... [--set a.b=c]

Each corpus is scanned and filtered once by the command line in a process of its own, after one that
loads every kernel. Seconds are wall time, start-up included; disk is the run folder at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    asked = parser.parse_args()
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
            took, peak = measured(corpus, out, asked.set)
            shards = load_manifest(out)["corpus"]["shards"]
            rows = sum(shard["documents"] for shard in shards)
            disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            print(
                f"| {corpus.name} | {told.text_bytes / 1e6:.0f} | {text_bytes(out) / 1e6:.0f} "
                f"| {told.documents:,} | {rows:,} | {wall:.1f} | {took:.1f} "
                f"| {plan(manifest, active_shards(manifest), config).smallest / 1e6:.0f} | {peak:.0f} "
                f"| {told.disk / 1e6:.0f} | {disk / 1e6:.0f} |",
                flush=True,
            )


def measured(corpus: Path, out: Path, settings: list[str]) -> tuple[float, float]:
    """Scan and filter a corpus; return wall seconds and peak memory in MB."""
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
    return time.perf_counter() - began, used.ru_maxrss / 1000


def text_bytes(out: Path) -> int:
    """Return how much text a run has counted."""
    import pyarrow.parquet as pq

    files = sorted((out / "counts").rglob("*.parquet"))
    return sum(
        int(pq.read_table(file, columns=["text_bytes"])[0].to_numpy().sum()) for file in files
    )


if __name__ == "__main__":
    main()
