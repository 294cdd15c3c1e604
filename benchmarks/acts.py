"""How the acts after a scan grow with the corpus: filter, report, and what of score is not training.

usage: python -m benchmarks.acts CORPUS... [--memory 1GB] [--work FOLDER] [--out JSON]

Each corpus is scanned, filtered and reported by commands in processes of their own, whose CPU seconds
and peak memory are told, start-up included. Planning a score is choosing the families, reading and
tokenizing the sample and the sequences to score, with default settings; nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import CHILD, answer_of

UNITS = {"GB": 10**9, "MB": 10**6}


def act(name: str, corpus: str, out: str, memory: int) -> dict[str, Any]:
    """Perform one act on a run folder and return what this process used."""
    from flows.runners import LocalMapper
    from pipeline import run
    from pipeline.config.sections import Config, LimitsConfig
    from pipeline.engine.memory import workers_of

    config = Config(limits=LimitsConfig(memory=memory))
    given = [corpus] if name == "scan" else []
    begun = time.perf_counter()
    with run.session(Path(out), config, LocalMapper(workers_of(config)), corpus=given) as session:
        if name == "planning a score":
            plan(session)
        else:
            commands = {"scan": run.scan, "filter": run.filter_rows, "report": run.write_report}
            commands[name](session)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "act": name,
        "corpus": Path(corpus).name,
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.perf_counter() - begun,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
        "text_mb": text_bytes(Path(out)) / 1e6,
    }


def plan(session: Any) -> None:  # noqa: ANN401 - a session
    """Choose and read what proxies are trained on and what they score."""
    from pipeline import run
    from pipeline.score.sequences.catalogue import documents_to_score
    from pipeline.score.sequences.sequences import material, to_score

    work = session.work(run.STAGES["sequences"], "all", 1)
    to_score(work, material(work, documents_to_score(work)))


def text_bytes(out: Path) -> int:
    """Return the text that a run has counted, once it is scanned."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    files = sorted((out / "counts").rglob("*.parquet"))
    return sum(pc.sum(pq.read_table(file, columns=["text_bytes"])[0]).as_py() for file in files)


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
        print(json.dumps(act(*json.loads(os.environ[CHILD]))))
        return
    from benchmarks.machine import machine

    memory = int(float(asked.memory[:-2]) * UNITS[asked.memory[-2:]])
    rows = []
    with tempfile.TemporaryDirectory(dir=asked.work) as work:
        for corpus in asked.corpus:
            for name in ("scan", "filter", "report", "planning a score"):
                rows.append(child(name, str(corpus), f"{work}/run", memory))
                print(rows[-1], flush=True)
            shutil.rmtree(f"{work}/run")
    if asked.out:
        record = {"machine": machine(), "memory": memory, "rows": rows}
        asked.out.write_text(json.dumps(record, indent=1) + "\n")


def child(*asked: Any) -> dict[str, Any]:  # noqa: ANN401
    """Perform an act in a process of its own."""
    return dict(answer_of(["-m", "benchmarks.acts", "-"], asked))


if __name__ == "__main__":
    main()
