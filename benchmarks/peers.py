r"""Scan and filter against peers: the same shards, the same cores, speed, memory and quality.

usage: python benchmarks/peers.py CORPUS [--truth FOLDER] [--peers [NAME=]VENV ...] [--only NAME ...]
                                  [--repeat N] [--out JSON]

CORPUS is a folder of Parquet shards with the columns id and text. VENV is an environment with the
peers, which users never need:

    python -m venv VENV && VENV/bin/pip install --no-deps -r benchmarks/requirements.txt

holds datatrove, text-dedup and datasketch. Those that cannot be installed together have one of their
own each, with requirements-NAME.txt, named as --peers NAME=VENV (semhash, dolma, data-juicer).

A side without an environment does not run. This file starts itself again with the interpreter of
VENV, and imports nothing but the standard library there; the sides are in peer_sides.py. They run
one after the other:

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
- semhash: SemHash.from_records and self_deduplicate() with their defaults (cosine 0.9, usearch), one
  process. Its usual model is on a hub, which is not asked: the static embeddings that the package
  wordllama carries (256 numbers a token, mean of a text) take its place. Only ids are written.
- dolma: `dolma dedupe` of whole documents by their text (a Bloom filter, false positives 1 in
  1,000,000), then `dolma mix` of those without a tag, gzipped JSON Lines out. That is its removal
  of documents: its other one tags paragraphs. Its input, gzipped JSON Lines, is written before the
  clock starts.
- data-juicer: document_minhash_deduplicator with jaccard_threshold 0.8 (its default is 0.7) and np
  of the cores; its other defaults: 256 permutations, 5-grams of words between spaces, lower case.
  JSON Lines out.

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
import gzip
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from peer_sides import SIDES, Figures, shards

if TYPE_CHECKING:
    import pyarrow as pa

CHILD = "ROTE_PEERS_CHILD"
LIMIT_S = 3600
SAMPLE_S = 0.2
TOGETHER = ("datatrove", "text-dedup", "datasketch")  # the sides that share an environment


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
    for path in sorted([*(out / "kept").glob("*.jsonl"), *(out / "kept").glob("*.json.gz")]):
        opened = gzip.open if path.suffix == ".gz" else Path.open
        with opened(path, "rb") as stream:
            tables.append(pa.table({"id": [json.loads(line)["id"] for line in stream]}))
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
    from machine import machine

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
    parser.add_argument("--peers", nargs="+", default=[], metavar="[NAME=]VENV")
    parser.add_argument("--only", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if not any(shards(asked.corpus)):
        parser.error(f"{asked.corpus} holds no *.parquet")
    named = {
        name: Path(venv) for name, found, venv in (p.partition("=") for p in asked.peers) if found
    }
    shared = [Path(venv) for venv in asked.peers if "=" not in venv]
    asked.peers = {side: venv for venv in shared for side in TOGETHER} | named
    for venv in asked.peers.values():
        if not (venv / "bin" / "python").exists():
            parser.error(f"{venv} holds no bin/python; make it as --help says")
    return asked


def main() -> None:
    """Read the arguments, measure, show, record."""
    if CHILD in os.environ:
        be_child()
        return
    asked = arguments()
    pythons = {side: str(venv.absolute() / "bin/python") for side, venv in asked.peers.items()}
    pythons["rote"] = sys.executable
    result = measure(asked, {side: pythons[side] for side in asked.only if side in pythons})
    show(result)
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
