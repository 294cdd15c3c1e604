"""What each stage costs for a GB of text: the constants that docs/scale.md carries to large corpora.

usage: python -m benchmarks.constants CORPUS... [--memory 1GB] [--work FOLDER] [--out JSON]

Each corpus is scanned, filtered and reported in a process of its own, by threads, and so is the
smallest once more beforehand, which loads every kernel. Between stages the process is asked for its CPU
seconds, its peak memory and what it read and wrote (/proc/self/io: calls, whether or not a disk was
asked), and the manifest for the files of each stage:

  read      bytes of read calls, less the reading back of what was written
  written   bytes of finished files
  aside     bytes of write calls beside these: spilled arrays, data that DuckDB puts aside
  units     tasks that a cluster would get, with the CPU seconds of the thread that ran each

What the driver does for each unit of a map is measured on manifests of made-up corpora.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import CHILD, answer_of

DRIVER = ((200, 2_000), (2_000, 20_000), (8_000, 80_000))  # groups and shards of made-up corpora
UNITS = {"GB": 10**9, "MB": 10**6}


def used() -> dict[str, float]:
    """Return what this process has used so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    lines = Path("/proc/self/io").read_text().split()
    io = dict(zip(lines[::2], map(int, lines[1::2]), strict=True))
    return {
        "cpu_s": own.ru_utime + own.ru_stime,
        "wall_s": time.perf_counter(),
        "read": io["rchar:"],
        "wrote": io["wchar:"],
    }


class Measured:
    """A mapper that notes what each stage used, with those that it was handed by the session.

    Attributes:
        stages: figures of each stage, in order.
        texts_s: CPU seconds of this stage for texts of single rows, read again from their shards.
    """

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - a mapper
        self._inner = inner
        self.stages: dict[str, dict[str, Any]] = {}
        self.texts_s = 0.0

    def __call__(self, stage: str, function: Any, works: Iterable[Any]) -> Iterator[Any]:  # noqa: ANN401
        """Run the units of a stage as the other mapper does."""
        units: list[float] = []

        def timed(work: Any) -> Any:  # noqa: ANN401
            begun = time.thread_time()
            receipt = function(work)
            units.append(round(time.thread_time() - begun, 4))
            return receipt

        self.texts_s = 0.0
        before = used()
        yield from self._inner(stage, timed, works)
        after = used()
        found = {name: after[name] - before[name] for name in before}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.stages[stage] = {**found, "texts_s": self.texts_s, "units": units, "peak_bytes": peak}

    def timing(self, read: Any) -> Any:  # noqa: ANN401 - what gives batches of documents
        """Return the same reader, whose seconds are noted."""

        def reading(*asked: Any, **more: Any) -> Iterator[Any]:  # noqa: ANN401
            batches = read(*asked, **more)
            while True:
                begun = time.thread_time()
                batch = next(batches, None)
                self.texts_s += time.thread_time() - begun
                if batch is None:
                    return
                yield batch

        return reading


def measured(corpus: str, out: str, memory: int) -> dict[str, Any]:
    """Scan, filter and report a corpus; return the figures by stage."""
    from flows.runners import LocalMapper
    from pipeline import run
    from pipeline.config.sections import Config, LimitsConfig
    from pipeline.engine import texts
    from pipeline.engine.memory import workers_of

    config = Config(limits=LimitsConfig(memory=memory))
    mapper = Measured(LocalMapper(workers_of(config)))
    texts.read_documents = mapper.timing(texts.read_documents)
    before = used()
    with run.session(Path(out), config, mapper, corpus=[corpus]) as session:
        run.scan(session)
        run.filter_rows(session)
        run.write_report(session)
        manifest = session.manifest
    after = used()
    for stage, found in mapper.stages.items():
        entries = [e for name, e in manifest["outputs"].items() if name.startswith(f"{stage}/")]
        files = [file for entry in entries for file in entry["files"]]
        found["written"] = sum(file["bytes"] for file in files)
        found["files"] = len(files)
        found["aside"] = max(0, found.pop("wrote") - found["written"])
        found["read"] -= found["written"]  # read back
    shards = [shard for shard in manifest["corpus"]["shards"] if shard["active"]]
    return {
        "corpus": Path(corpus).name,
        "memory": memory,
        **_sums(Path(out), manifest),
        "documents": sum(shard["documents"] for shard in shards),
        "shards": len(shards),
        "corpus_bytes": sum(shard["bytes"] for shard in shards),
        "folder_bytes": _size(Path(out)),
        "sizes": sorted(path.stat().st_size for path in Path(out).rglob("*") if path.is_file()),
        "pairs": _rows(manifest, "pairs"),
        "candidates": _rows(manifest, "candidates"),
        "windows": manifest["outputs"]["windows/all"]["facts"],
        "vocabularies": _rows(manifest, "words"),
        "cpu_s": after["cpu_s"] - before["cpu_s"],
        "wall_s": after["wall_s"] - before["wall_s"],
        "stages": mapper.stages,
    }


def _rows(manifest: dict[str, Any], table: str) -> int:
    files = (file for entry in manifest["outputs"].values() for file in entry["files"])
    return sum(file["rows"] for file in files if file["table"] == table)


def _sums(out: Path, manifest: dict[str, Any]) -> dict[str, int]:
    """Return the bytes of text and the words of a corpus, and the words that are in repeated windows."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    names = ["text_bytes", "words", "repeated_words"]
    files = manifest["outputs"]["counts/all"]["files"]
    table = pa.concat_tables([pq.read_table(out / file["path"], columns=names) for file in files])
    return {name: pc.sum(table[name]).as_py() for name in names}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def driver(groups: int, shards: int) -> dict[str, float]:
    """Return the seconds of the driver for a unit of a map, of so many, over a made-up corpus.

    That is to make its work, to name its file and to record it, as the session does.
    """
    from pipeline import run
    from pipeline.config.sections import Config
    from pipeline.engine.files import holding, write_file
    from pipeline.engine.manifest import manifest_bytes
    from pipeline.engine.run_folder import RunFolder
    from pipeline.engine.session import Session, idle

    entries = [
        {
            "number": number, "group": number * groups // shards, "format": "parquet",
            "name": f"crawl-2026-11/part-{number:08}.parquet", "bytes": 64_000_000,
            "path": f"/data/corpus/crawl-2026-11/part-{number:08}.parquet",
            "mtime_ns": 1_790_000_000_000_000_000 + number, "tail_digest": f"{number:032x}",
            "active": True, "content_digest": f"{number:032x}", "documents": 9_000,
            "rejected": {"empty": 1}, "source_group": "crawl", "split": None,
        }
        for number in range(shards)
    ]  # fmt: skip
    file = {"table": "words", "rows": 9_000, "bytes": 30_000_000, "digest": f"{1:032x}"}
    outputs = {
        f"sketch/g{group:05}": {
            "fingerprint": f"{group:032x}", "digest": f"{group:032x}", "rows_in": 1, "rows_out": 1,
            "facts": {"shards": [{"number": n, "content_digest": f"{n:032x}", "documents": 9_000,
                                  "rejected": {}} for n in range(shards // groups)]},
            "files": [{**file, "path": f"{table}/g{group:05}.parquet"} for table in ("signatures", "words", "rejected")],
        }
        for group in range(groups)
    }  # fmt: skip
    manifest = {**run.new_manifest(), "outputs": outputs}
    manifest["corpus"]["shards"] = entries
    with tempfile.TemporaryDirectory() as folder:
        opened = Session(RunFolder(Path(folder), manifest), Config(), idle, run.STAGES)
        stage = run.STAGES["sketch"]
        keys = opened.units(stage)[:5]
        begun = time.process_time()
        for key in keys:
            opened.work(stage, key, len(keys))
        worked = (time.process_time() - begun) / len(keys)
        begun = time.process_time()
        for number, key in enumerate(keys):
            with holding(Path(folder)):
                record = write_file(Path(folder), "words", f"new{number}", b"")
                entry = {**outputs[f"sketch/{key}"], "files": [{**file, "path": record.path}]}
                opened.run.commit(f"sketch/new{number}", entry)
        recorded = (time.process_time() - begun) / len(keys)
        size = len(manifest_bytes(manifest))
    return {
        "groups": groups,
        "shards": shards,
        "work_s": worked,
        "record_s": recorded,
        "manifest_bytes": size,
    }


def child(*asked: Any) -> dict[str, Any]:  # noqa: ANN401
    """Answer a question in a process of its own."""
    return dict(answer_of(["-m", "benchmarks.constants", "-"], asked))


def main() -> None:
    """Read the arguments, measure, print, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if CHILD in os.environ:
        kind, *rest = json.loads(os.environ[CHILD])
        print(json.dumps({"measured": measured, "driver": driver}[kind](*rest)))
        return
    from benchmarks.machine import machine

    memory = int(float(asked.memory[:-2]) * UNITS[asked.memory[-2:]])
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=asked.work) as work:
        for number, corpus in enumerate([asked.corpus[0], *asked.corpus]):
            found = child("measured", str(corpus), f"{work}/run", memory)
            shutil.rmtree(f"{work}/run")
            if number:
                runs.append(found)
                print(line(found), flush=True)
    drivers = [child("driver", *sizes) for sizes in DRIVER]
    for found in drivers:
        print(found, flush=True)
    if asked.out:
        record = {"machine": machine(), "runs": runs, "driver": drivers}
        asked.out.write_text(json.dumps(record, indent=1) + "\n")


def line(found: dict[str, Any]) -> str:
    """Return what a run took, with its stages, in a line."""
    gigabytes = found["text_bytes"] / 1e9
    stages = ", ".join(
        f"{name} {figures['cpu_s'] / gigabytes:.1f}" for name, figures in found["stages"].items()
    )
    return (
        f"{found['corpus']}: {gigabytes:.3f} GB, {found['documents']:,} documents, "
        f"{found['cpu_s']:.1f} CPU s, {found['wall_s']:.1f} s; CPU s a GB: {stages}"
    )


if __name__ == "__main__":
    main()
