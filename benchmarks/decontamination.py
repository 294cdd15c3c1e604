r"""Planted evaluation items in real text: what is found, what is removed beside it, CPU seconds.

usage: python benchmarks/decontamination.py CORPUS [--items N] [--seed S] [--peers VENV]
                                            [--decon VENV] [--out JSON]

CORPUS is a folder of Parquet shards with the columns id and text. Items are made of documents that
are then left out: a sentence of 16 to 40 words is the question, the one after it the answer. Each
item is planted into a document that stays, in the middle of its text, between two paragraphs, in
one form:

- verbatim: question and answer; upper: in capitals; reflowed: a line break every five words
- changed: the middle word of the question, and of the answer, is another one
- punctuation: other quotes, dashes, commas and full stops
- question: the question alone; answer: the answer alone

A row is found if it is removed. Others is how many rows without a planted item were removed; these
may hold an item by themselves, so precision is a lower bound. Sides:

- rote: `rote scan`, then the stage `contaminated` with its defaults; and with share = 0.5
- datatrove: NGramsDecontFilter with its defaults (12-grams of answers and over the seam of
  question and answer), and with find_query_ngrams. Its indexer wants lighteval, which it does not
  need here: the index is made by its compute_hashes and written as it writes it. VENV has datatrove
  and spacy.
- decon of AI2 (package decontaminate 0.3.0) with its defaults, one thread, and with questions alone
  (index_answers and index_passages off). It needs Python 3.12 or later, so an environment of its
  own with it and pyarrow: --decon VENV. What its cleaned files have not counts as removed.

CPU s is of the whole child process, start-up and all threads; `search` is that of the search alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

FORMS = ("verbatim", "upper", "reflowed", "changed", "punctuation", "question", "answer")
SIGNS = str.maketrans({'"': "»", "'": "’", ",": "、", ".": "。", "-": "–", ";": "；", ":": "："})  # noqa: RUF001
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def sentences(text: str) -> tuple[str, str] | None:
    """Return a question and an answer of a text: a sentence of 16 to 40 words and the next one."""
    parts = SENTENCE.split(text)
    for one, other in pairwise(parts[1:]):
        if 16 <= len(one.split()) <= 40 and 1 <= len(other.split()) <= 40:
            return one, other
    return None


def changed(text: str) -> str:
    """Return a text with another word in the middle."""
    words = text.split()
    words[len(words) // 2] = "xylograph"
    return " ".join(words)


def planted(item: tuple[str, str], form: str) -> str:
    """Return an item as it is planted."""
    question, answer = item
    if form in ("question", "answer"):
        return question if form == "question" else answer
    if form == "changed":
        return f"{changed(question)} {changed(answer)}"
    both = f"{question} {answer}"
    if form == "upper":
        return both.upper()
    if form == "reflowed":
        words = both.split()
        return "\n".join("  ".join(words[k : k + 5]) for k in range(0, len(words), 5))
    return both.translate(SIGNS) if form == "punctuation" else both


def prepare(corpus: Path, folder: Path, items: int, seed: int) -> dict[str, Any]:
    """Write a corpus with planted items and the items, and return which row holds which."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(corpus, columns=["id", "text"]).to_pylist()
    draw = random.Random(seed)  # noqa: S311 - a draw of rows
    draw.shuffle(rows)
    own, taken, hosts = [], set(), []
    for row in rows:
        item = sentences(row["text"]) if len(own) < items * len(FORMS) else None
        if item and item not in taken:
            taken.add(item)
            own.append(item)
        else:
            hosts.append(row)
    truth = {}
    for number, item in enumerate(own):
        form, host = FORMS[number % len(FORMS)], hosts[number]
        parts = host["text"].split("\n\n")
        parts.insert(len(parts) // 2, planted(item, form))
        host["text"] = "\n\n".join(parts)
        truth[host["id"]] = {"form": form, "answer_words": len(item[1].split())}
    draw.shuffle(hosts)
    (folder / "corpus").mkdir()
    for shard in range(4):
        pq.write_table(pa.Table.from_pylist(hosts[shard::4]), folder / f"corpus/{shard}.parquet")
    lines = [json.dumps({"question": one, "answer": other}) for one, other in own]
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    size = sum(len(row["text"].encode()) for row in hosts)
    return {"truth": truth, "rows": len(hosts), "items": len(own), "bytes": size}


def rote(folder: Path, settings: list[str]) -> dict[str, Any]:
    """Scan and search with rote; return the ids of the removed rows."""
    import pyarrow.parquet as pq

    from flows.runners import LocalMapper
    from pipeline import run
    from pipeline.config.load import load_config
    from pipeline.filter.contaminated import contaminated

    out = folder / "run"
    config = load_config(settings=[f"decontaminate.files={folder / 'items.jsonl'}", *settings])
    corpus = [str(folder / "corpus")]
    with run.session(out, config, LocalMapper(1), corpus=corpus) as session:
        run.scan(session)
        work = session.work(run.STAGES["contaminated"], "all", 1)
        contaminated(work)  # compiles the loops, or loads them
        begun = time.process_time()
        receipt = contaminated(work)
        searched = time.process_time() - begun
        names = pq.read_table(
            session.run.paths("counts"), columns=["row_key", "doc_id"]
        ).to_pylist()
        table = pq.read_table(out / receipt.files[0].path)
    ids = {row["row_key"]: row["doc_id"] for row in names}
    gone = sorted({ids[key] for key in table["row_key"].to_pylist()})
    return {"removed": gone, "search_cpu_s": searched}


def datatrove(folder: Path, settings: list[str]) -> dict[str, Any]:
    """Search with datatrove's n-gram decontamination; return the ids of the removed rows."""
    import numpy as np
    import pyarrow.parquet as pq
    from datatrove.data import Document
    from datatrove.pipeline.decont import n_grams

    n_grams.NGramsDecontIndexer._requires_dependencies = []  # it wants lighteval for its own tasks
    config = n_grams.NGramsDecontConfig(find_query_ngrams="query" in settings)
    index = folder / f"index-{len(settings)}"
    indexer = n_grams.NGramsDecontIndexer(str(index), config=config)
    begun = time.process_time()
    hashes = set()
    for line in (folder / "items.jsonl").read_text().splitlines():
        item = json.loads(line)
        hashes.update(indexer.compute_hashes(item["answer"], item["question"]))
    index.mkdir(exist_ok=True)
    kind = config.hash_config.np_descr
    np.array(list(hashes), dtype=kind).tofile(index / "input.index.hashes")
    search = n_grams.NGramsDecontFilter(str(index), config=config)
    gone = []
    for path in sorted((folder / "corpus").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            kept = search.filter(Document(text=row["text"], id=row["id"]))
            if kept is not True:
                gone.append(row["id"])
    return {"removed": sorted(gone), "search_cpu_s": time.process_time() - begun}


def decon(folder: Path, settings: list[str]) -> dict[str, Any]:
    """Search with AI2's decon; return the ids of the lines that its cleaned files have not."""
    import decon as tool
    import pyarrow.parquet as pq

    texts, items, clean = (folder / name for name in ("texts", "items", "clean"))
    texts.mkdir()
    items.mkdir()
    every = []
    for path in sorted((folder / "corpus").glob("*.parquet")):
        rows = pq.read_table(path, columns=["id", "text"]).to_pylist()
        every += [row["id"] for row in rows]
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (texts / f"{path.stem}.jsonl").write_text(lines)
    given = map(json.loads, (folder / "items.jsonl").read_text().splitlines())
    about = {"eval_key": "items", "split": "test", "passage": "", "config": "", "is_correct": True}
    told = [
        {**about, **item, "eval_instance_index": n, "doc_id": n, "fingerprint": str(n)}
        for n, item in enumerate(given)
    ]
    (items / "items.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in told))
    begun = time.process_time()
    config = tool.Config(
        training_dir=str(texts),
        evals_dir=str(items),
        report_output_dir=str(folder / "reports"),
        cleaned_output_dir=str(clean),
        purify=True,
        worker_threads=1,
        **{name: json.loads(value) for name, value in (one.split("=") for one in settings)},
    )
    tool.detect(config)
    searched = time.process_time() - begun
    kept = {json.loads(line)["id"] for path in clean.rglob("*") for line in lines_of(path)}
    return {"removed": sorted(set(every) - kept), "search_cpu_s": searched}


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file, packed or not; none of a folder."""
    if path.is_dir():
        return []
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as stream:
        return list(stream)


SIDES = {
    "rote": (rote, []),
    "rote, share 0.5, no changed words": (
        rote,
        ["decontaminate.share=0.5", "decontaminate.containment=0"],
    ),
    "datatrove": (datatrove, []),
    "datatrove, queries too": (datatrove, ["query"]),
    "decon": (decon, []),
    "decon, questions alone too": (decon, ["index_answers=false", "index_passages=false"]),
}


def judged(found: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Return recall by form, precision, and how many other rows were removed."""
    removed, truth = set(found["removed"]), made["truth"]
    recall = {}
    for form in FORMS:
        own = [row for row, about in truth.items() if about["form"] == form]
        recall[form] = round(sum(row in removed for row in own) / len(own), 3)
    answers = {row: a["answer_words"] for row, a in truth.items() if a["form"] == "answer"}
    bands = {"1 to 7": (1, 7), "8 to 12": (8, 12), "13 and more": (13, 99)}
    by_words = {}
    for name, (low, high) in bands.items():
        own = [row for row, words in answers.items() if low <= words <= high]
        by_words[name] = [sum(row in removed for row in own), len(own)]
    others = len(removed - truth.keys())
    return {
        "recall": recall,
        "answers_by_words": by_words,
        "removed": len(removed),
        "others": others,
        "precision": round(1 - others / max(1, len(removed)), 3),
        "cpu_s": round(found["cpu_s"], 1),
        "search_cpu_s": round(found["search_cpu_s"], 2),
    }


def child(side: str, folder: Path) -> None:
    """Run one side in this process and print what it found."""
    make, settings = SIDES[side]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name in ("corpus", "items.jsonl"):
            (Path(scratch) / name).symlink_to(folder / name)
        found = make(Path(scratch), settings)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found["cpu_s"] = sum(one.ru_utime + one.ru_stime for one in used)
    print(json.dumps(found))


def main() -> None:
    """Plant, search with each side, judge, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--items", type=int, default=60, help="of each form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--decon", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Path(asked.child[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = prepare(asked.corpus, folder, asked.items, asked.seed)
        about = {key: made[key] for key in ("rows", "items", "bytes")}
        told: dict[str, Any] = {
            "seed": asked.seed,
            "corpus": asked.corpus.name,
            **about,
            "sides": {},
        }
        for side in SIDES:
            venv = {"datatrove": asked.peers, "decon": asked.decon}.get(side.partition(",")[0], "")
            if venv is None:
                told["sides"][side] = "not run: no environment was named"
                continue
            python = str(venv / "bin" / "python") if venv else sys.executable
            command = [python, __file__, str(asked.corpus), "--child", side, str(folder)]
            ended = subprocess.run(
                command, capture_output=True, text=True, check=False, env=os.environ
            )
            if ended.returncode:
                told["sides"][side] = f"failed: {ended.stderr.strip().splitlines()[-1][:300]}"
                continue
            told["sides"][side] = judged(json.loads(ended.stdout.splitlines()[-1]), made)
            print(side, json.dumps(told["sides"][side]), flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
