"""Scan and filter on a Ray cluster of this machine: one node, or two of half as many cores each.

usage: python benchmarks/cluster.py CORPUS [--cores 2] [--memory 1GB] [--repeat 1] [--out JSON]

Nodes are raylets of one machine, so this shows what it costs that parts lie in files and go from
process to process, not what a network costs. Beside them stands the same work in threads. Each side
runs in a process of its own, after a scan of a tiny corpus there and on every node, which loads
every kernel. Beside speed stands whether the files that are written are those of threads, byte for
byte. It needs `pip install 'rote[ray]'`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine
from processes import CHILD, answer_of
from scaling import bytes_of
from scan import start

SIDES = {"threads": (), "one node": (1.0,), "two nodes": (0.5, 0.5)}
ROOT = Path(__file__).resolve().parents[1]


def run(side: str, corpus: Path, out: Path, cores: int, memory: int) -> dict[str, Any]:
    """Scan and filter a corpus; return seconds and a digest of all files but the log."""
    from flows.runners import LocalMapper, units_on
    from pipeline import run as pipeline
    from pipeline.config.sections import Config, LimitsConfig

    config = Config(limits=LimitsConfig(memory=memory, workers=cores))
    shares = SIDES[side]

    def scan(address: str, folder: Path, given: Path) -> float:
        runner = f"ray:{address}" if shares else None
        with units_on(runner, folder, config) as (asked, mapped):
            begun = time.perf_counter()
            mapper = mapped(LocalMapper(cores))
            with pipeline.session(folder, asked, mapper, corpus=[str(given)]) as session:
                pipeline.scan(session)
                pipeline.filter_rows(session)
            return time.perf_counter() - begun

    if not shares:
        start(corpus, memory)
        return {"seconds": scan("", out, corpus), "digest": digest(out)}
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for share in shares:
        nodes.add_node(num_cpus=max(1, int(cores * share)))
    nodes.wait_for_nodes()
    try:
        with tempfile.TemporaryDirectory() as folder:
            small = Path(folder) / "small"
            small.mkdir()
            for path in sorted(corpus.glob("*.parquet"))[: 4 * cores]:
                shutil.copy(path, small)
            scan(nodes.address, Path(folder) / "run", small)
        return {"seconds": scan(nodes.address, out, corpus), "digest": digest(out)}
    finally:
        nodes.shutdown()


def digest(out: Path) -> str:
    """Return a digest of the Parquet files of a run folder."""
    found = hashlib.blake2b(digest_size=16)
    for path in sorted(out.rglob("*.parquet")):
        found.update(path.relative_to(out).as_posix().encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def child(side: str, corpus: Path, out: Path, cores: int, memory: int) -> dict[str, Any]:
    """Run one side in a process of its own."""
    return dict(answer_of([__file__, str(corpus)], [side, str(out), cores, memory]))


def main() -> None:
    """Run each side and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", type=bytes_of, default=10**9)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if CHILD in os.environ:
        side, out, cores, memory = json.loads(os.environ[CHILD])
        print(json.dumps(run(side, asked.corpus, Path(out), cores, memory)))
        return
    rows: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.repeat):
            for side in SIDES:
                out = Path(folder) / f"{side.replace(' ', '-')}-{number}"
                rows[side].append(child(side, asked.corpus, out, asked.cores, asked.memory))
                shutil.rmtree(out)
    seconds = {
        side: statistics.median(row["seconds"] for row in found) for side, found in rows.items()
    }
    same = len({row["digest"] for found in rows.values() for row in found}) == 1
    print(f"{'':<12}{'seconds':>9}{'x one node':>12}")
    for side, value in seconds.items():
        print(f"{side:<12}{value:>9.1f}{value / seconds['one node']:>12.2f}")
    print(f"the same bytes: {'yes' if same else 'NO'}")
    if asked.out:
        told = {"machine": machine(), "cores": asked.cores, "memory": asked.memory, "rows": rows}
        asked.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
