r"""Scan and filter against peers: the same shards, the same cores, speed, memory and quality.

usage: python benchmarks/peers.py CORPUS [--truth FOLDER] [--peers VENV] [--only NAME ...]
                                  [--repeat N] [--out JSON]

CORPUS is a folder of Parquet shards with the columns id and text. VENV is an environment with the
peers, which users never need:

    python -m venv VENV && VENV/bin/pip install --no-deps -r benchmarks/requirements.txt

Without --peers only rote runs. This file starts itself again with the interpreter of VENV, and
imports nothing but the standard library there. The sides run one after the other:

- rote: `scan + filter` as in scan.py. It also counts every repeated 50-word window, lists the
  pairs down to 0.5 and proves each removal; the peers only filter.
- datatrove: its four MinHash stages with their defaults (14 buckets of 8 hashes, word 5-grams,
  text simplified) and the English word tokenizer, a blank spaCy one that needs no download;
  LocalPipelineExecutor with one task a shard and one worker a core, zstd Parquet out. Workers are
  forked instead of started afresh, which spares them their imports: in its favour.
- text-dedup: `text_dedup.minhash` 0.4.0 with --threshold 0.8 (its default is 0.7) and --num_proc
  of the cores; its other defaults: 250 permutations, 5-grams of what lies between non-word
  characters, sha1, texts of fewer than 5 such pieces dropped. It writes a `datasets` folder.
- datasketch: the shortest sensible program: PyArrow in, words by a regular expression (\w+, Han
  and Kana one by one), sets of 5-grams, MinHash(num_perm=128) in a process a core,
  MinHashLSH(threshold=0.8), a row goes if the index has a match among the rows kept before it,
  zstd Parquet out.

Seconds are taken inside the child, after its imports (start-up, printed beside) and, for rote,
after its kernels are compiled or loaded. CPU s is that of the child and all it waited for, start-up
included; others is what the rest of the machine worked meanwhile: unless it is near 0, seconds and
MB/s are worse than they need be. Memory is sampled five times a second over every process of the
child's session: RSS is the highest sum of resident sets, in which a page that forked processes
share counts once for each; PSS divides it among them, so that it counts once. Without /proc, RSS is
the child's own and the others are 0. What was removed is read from the files that each side wrote;
quality.py defines found, gone (share of the pairs with a side removed) and wrong, which need
--truth. A side that fails, or takes over an hour, says so in the table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

CHILD = "ROTE_PEERS_CHILD"
LIMIT_S = 3600
SAMPLE_S = 0.2
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
Figures = dict[str, Any]


def rote(corpus: Path, out: Path, _: int) -> Figures:
    """Run scan and filter as the other benchmark does."""
    from scan import scan

    return {**scan(corpus, out), "versions": {"rote": version("rote")}}


def datatrove(corpus: Path, out: Path, cores: int) -> Figures:
    """Run the four stages of datatrove's MinHash."""
    begun = time.perf_counter()
    import datatrove.utils.japanese_tokenizer  # noqa: F401 imported with the first tokenizer
    import spacy  # noqa: F401
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import dedup
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    startup = time.perf_counter() - begun
    begun = time.perf_counter()
    signatures, buckets, cluster, logs = (
        str(out / name) for name in ("signatures", "buckets", "cluster", "logs")
    )
    tasks = len(list(shards(corpus)))
    reader = ParquetReader(str(corpus), glob_pattern="**/*.parquet")
    writer = ParquetWriter(str(out / "kept"), compression="zstd", expand_metadata=True)
    stages: list[tuple[int, list[Any]]] = [
        (tasks, [reader, dedup.MinhashDedupSignature(signatures)]),
        (dedup.MinhashConfig().num_buckets, [dedup.MinhashDedupBuckets(signatures, buckets)]),
        (1, [dedup.MinhashDedupCluster(buckets, cluster)]),
        (tasks, [reader, dedup.MinhashDedupFilter(cluster), writer]),
    ]
    for number, (count, steps) in enumerate(stages):
        LocalPipelineExecutor(
            steps, count, min(cores, count), f"{logs}/{number}", start_method="fork"
        ).run()
    return ended(begun, startup, "datatrove", "spacy", "numpy")


def text_dedup(corpus: Path, out: Path, cores: int) -> Figures:
    """Run text-dedup's MinHash command."""
    begun = time.perf_counter()
    from text_dedup import minhash

    startup = time.perf_counter() - begun
    options = {
        "path": "parquet",
        "data_files": f"{corpus}/**/*.parquet",
        "split": "train",
        "cache_dir": f"{out}/cache",
        "output": f"{out}/kept",
        "column": "text",
        "threshold": "0.8",
        "num_proc": str(cores),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    begun = time.perf_counter()
    minhash.main(arguments, standalone_mode=False)
    return ended(begun, startup, "text-dedup", "datasets", "numpy")


def grams(text: str) -> set[bytes]:
    """Return the word 5-grams of a text; all its words if they are fewer."""
    words = WORD.findall(text.lower())
    last = max(len(words) - 4, 1) if words else 0
    return {" ".join(words[at : at + 5]).encode() for at in range(last)}


def sketches(unit: tuple[Path, int]) -> list[Any]:
    """Return the MinHash of each text of a row group, None where it has no words."""
    import pyarrow.parquet as pq
    from datasketch import LeanMinHash, MinHash

    texts = pq.ParquetFile(unit[0]).read_row_group(unit[1], columns=["text"])["text"]
    sets = [grams(text or "") for text in texts.to_pylist()]
    hashes = MinHash.generator(sets, num_perm=128)
    return [LeanMinHash(minhash) if of else None for of, minhash in zip(sets, hashes, strict=True)]


def datasketch(corpus: Path, out: Path, cores: int) -> Figures:
    """Remove each row that the index has a match for among those kept, in row order."""
    begun = time.perf_counter()
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasketch import MinHashLSH

    startup = time.perf_counter() - begun
    begun = time.perf_counter()
    index = MinHashLSH(threshold=0.8, num_perm=128)
    files = {path: pq.ParquetFile(path) for path in shards(corpus)}
    units = [(path, group) for path, file in files.items() for group in range(file.num_row_groups)]
    keep: dict[Path, list[bool]] = {path: [] for path in files}
    with multiprocessing.Pool(cores) as pool:
        for (path, _), found in zip(units, pool.imap(sketches, units), strict=True):
            for minhash in found:
                stays = minhash is None or not index.query(minhash)
                if minhash is not None and stays:
                    index.insert((path, len(keep[path])), minhash)
                keep[path].append(stays)
    for path, file in files.items():
        target = out / "kept" / path.relative_to(corpus)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(file.read().filter(pa.array(keep[path])), target, compression="zstd")
    return ended(begun, startup, "datasketch", "pyarrow", "numpy")


SIDES: dict[str, Callable[[Path, Path, int], Figures]] = {
    "rote": rote,
    "datatrove": datatrove,
    "text-dedup": text_dedup,
    "datasketch": datasketch,
}


def shards(corpus: Path) -> Iterator[Path]:
    """Yield the shards in order."""
    yield from sorted(corpus.rglob("*.parquet"))


def ended(begun: float, startup: float, *packages: str) -> Figures:
    """Return the figures of a side that ends now."""
    seconds = time.perf_counter() - begun
    versions = {name: version(name) for name in packages}
    return {"seconds": seconds, "startup": startup, "versions": versions}


def be_child() -> None:
    """Run one side and leave its figures in a file; a side prints what it wants."""
    side, corpus, out, cores = json.loads(os.environ[CHILD])
    figures = SIDES[side](Path(corpus), Path(out), cores)
    figures["versions"]["python"] = platform.python_version()
    figures["own_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path("figures.json").write_text(json.dumps(figures))


def memory(session: int) -> tuple[float, float]:
    """Return RSS and PSS in MB, summed over the processes of a session."""
    sums = {"Rss:": 0, "Pss:": 0}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            lines = (folder / "smaps_rollup").read_text().splitlines()
        except OSError:  # it ended meanwhile
            continue
        for name, amount, *_ in (line.split() for line in lines):
            if name in sums:
                sums[name] += int(amount)
    return sums["Rss:"] / 1024, sums["Pss:"] / 1024


def worked() -> float:
    """Return the CPU seconds that the machine has worked since it started, for anyone."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, system, _, _, *rest = Path("/proc/stat").read_text().split()[1:9]
    ticks = sum(map(int, (user, nice, system, *rest)))
    return ticks / os.sysconf("SC_CLK_TCK")


def used() -> float:
    """Return the CPU seconds of all children so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def watch(process: subprocess.Popen[bytes]) -> Figures:
    """Wait for a child, at most LIMIT_S; return what it and others used, and leave none of it."""
    begun, busy, cpu = time.monotonic(), worked(), used()
    rss = pss = 0.0
    try:
        while process.poll() is None and time.monotonic() - begun < LIMIT_S:
            now = memory(process.pid)
            rss, pss = max(rss, now[0]), max(pss, now[1])
            time.sleep(SAMPLE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    own = used() - cpu
    others = max(worked() - busy - own, 0.0)
    return {"cpu_seconds": own, "others_cpu_s": others, "peak_rss_mb": rss, "peak_pss_mb": pss}


def environment(python: str, scratch: Path) -> dict[str, str]:
    """Return the environment of a child: no network, no cache but the scratch folder's."""
    inherited = dict(os.environ)
    if python != sys.executable:
        inherited.pop("PYTHONPATH", None)
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    return {**inherited, **offline, "HF_HOME": str(scratch / "home")}


def run(side: str, python: str, corpus: Path, scratch: Path) -> Figures:
    """Run one side in a process of its own, in a new folder; return its figures or its error."""
    scratch.mkdir()
    task = json.dumps([side, str(corpus), str(scratch / "out"), len(os.sched_getaffinity(0))])
    with (scratch / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [python, str(Path(__file__).resolve())],
            env={**environment(python, scratch), CHILD: task},
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        watched = watch(process)
    if process.returncode:
        lines = (scratch / "log.txt").read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()] or [""]
        return {"error": f"exit {process.returncode}: {said[-1]}"}
    figures = {**json.loads((scratch / "figures.json").read_text()), **watched}
    figures["peak_rss_mb"] = max(figures["peak_rss_mb"], figures.pop("own_peak_mb"))
    return figures


def kept(out: Path) -> pa.Table:
    """Return the ids in the files that a side wrote."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [pq.read_table(path, columns=["id"]) for path in shards(out / "kept")]
    for path in sorted((out / "kept").glob("*.arrow")):
        with pa.ipc.open_stream(path) as stream:
            tables.append(stream.read_all().select(["id"]))
    one = pa.schema([("id", pa.large_string())])
    return pa.concat_tables([one.empty_table(), *(table.cast(one) for table in tables)])


def judge(side: str, corpus: Path, out: Path, truth: Path) -> dict[str, float]:
    """Return the quality of what a side wrote; only rote lists the pairs that it does not act on."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from quality import quality

    documents = [pq.read_table(path, columns=["id"]) for path in shards(corpus)]
    figures = quality(pa.concat_tables(documents), kept(out), truth)
    if side == "rote":
        from scan import quality as own

        figures["listed_0.5_0.8"] = own(out, truth)["recall_listed_0.5_0.8"]
    return figures


def size(corpus: Path) -> dict[str, float]:
    """Return what the corpus holds; reading it also warms the page cache for all sides alike."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    texts = [pq.read_table(path, columns=["text"])["text"] for path in shards(corpus)]
    return {
        "shards": len(texts),
        "documents": sum(len(text) for text in texts),
        "text_mb": sum(pc.sum(pc.binary_length(text)).as_py() or 0 for text in texts) / 1e6,
    }


def commit() -> str:
    """Return the commit of this file's checkout, with -dirty when the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty"]
    said = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def measure(asked: argparse.Namespace, pythons: dict[str, str]) -> Figures:
    """Run the sides in turn, `repeat` times, and return every figure."""
    from scan import machine

    corpus, held = asked.corpus.resolve(), size(asked.corpus)
    sides: dict[str, Figures] = {side: {"runs": []} for side in pythons}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(asked.repeat):
            for side, figures in sides.items():
                if "error" in figures:
                    continue
                print(f"{side}, run {turn + 1} of {asked.repeat}", file=sys.stderr, flush=True)
                scratch = Path(folder).resolve() / side
                ran = run(side, pythons[side], corpus, scratch)
                figures |= ran if "error" in ran else {}
                figures["runs"].append(ran)
                if "error" not in ran and asked.truth and "quality" not in figures:
                    figures["quality"] = judge(side, corpus, scratch / "out", asked.truth)
                shutil.rmtree(scratch)
    for figures in sides.values():
        if "error" not in figures:
            summarize(figures, held["text_mb"])
    return {"machine": {**machine(), "commit": commit()}, "corpus": held, "sides": sides}


def summarize(figures: Figures, text_mb: float) -> None:
    """Add the medians of a side's runs, and its highest memory."""
    runs = figures["runs"]
    for name in ("seconds", "startup", "cpu_seconds", "others_cpu_s"):
        figures[name] = statistics.median(run[name] for run in runs)
    for name in ("peak_rss_mb", "peak_pss_mb"):
        figures[name] = max(run[name] for run in runs)
    figures["mb_per_s"] = text_mb / figures["seconds"]


COLUMNS = {
    "seconds": "seconds",
    "mb_per_s": "MB/s",
    "cpu_seconds": "CPU s",
    "others_cpu_s": "others",
    "startup": "start-up",
    "peak_rss_mb": "RSS MB",
    "peak_pss_mb": "PSS MB",
}
JUDGED = {
    "removed": "removed",
    "recall_0.8": "found>=.8",
    "side_removed_0.5_0.8": "gone.5-.8",
    "wrong_at_0.8": "wrong@.8",
    "wrong_at_0.5": "wrong@.5",
}


def cell(value: float | None) -> str:
    """Return a figure as it stands in the table: counts, shares below 1, the rest."""
    if value is None or isinstance(value, int):
        return f"{'-' if value is None else value:>10}"
    return f"{value:>10.{4 if value <= 1 else 2 if value < 100 else 0}f}"


def show(result: Figures) -> None:
    """Print the figures as one table."""
    held = result["corpus"]
    print(
        f"{held['documents']} documents, {held['text_mb']:.1f} MB of text, {held['shards']} shards"
    )
    heads = [*COLUMNS.values(), *JUDGED.values()]
    print(f"{'':<12}" + "".join(f"{head:>10}" for head in heads))
    for side, figures in result["sides"].items():
        if "error" in figures:
            print(f"{side:<12}failed: {figures['error']}")
            continue
        values = [figures[name] for name in COLUMNS]
        values += [figures.get("quality", {}).get(name) for name in JUDGED]
        print(f"{side:<12}" + "".join(map(cell, values)))
    listed = result["sides"].get("rote", {}).get("quality", {}).get("listed_0.5_0.8")
    if listed is not None:
        print(
            f"rote lists {listed:.4f} of the pairs in [0.5, 0.8), removed or not; the peers list none"
        )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--peers", type=Path, metavar="VENV")
    parser.add_argument("--only", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if not any(shards(asked.corpus)):
        parser.error(f"{asked.corpus} holds no *.parquet")
    if asked.peers and not (asked.peers / "bin" / "python").exists():
        parser.error(f"{asked.peers} holds no bin/python; make it as --help says")
    return asked


def main() -> None:
    """Read the arguments, measure, show, record."""
    if CHILD in os.environ:
        be_child()
        return
    asked = arguments()
    peer = asked.peers and str(asked.peers.absolute() / "bin" / "python")
    pythons = {side: sys.executable if side == "rote" else peer for side in asked.only}
    result = measure(asked, {side: python for side, python in pythons.items() if python})
    show(result)
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
