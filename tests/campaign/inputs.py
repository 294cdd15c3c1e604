"""Inputs that change while a command reads them, and readers beside a writer."""

import functools
import json
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import run as stages
from pipeline.engine.session import Session
from pipeline.engine.stage import Stage
from tests.campaign.case import Case, Found, told
from tests.campaign.ground import ROW, Ground, command
from tests.e2e.command import Ended, rote

IN_THE_CHILD = pytest.MonkeyPatch()
CHANGES = ("a row more", "other letters, same size", "a file gone", "an empty file")
THRESHOLDS = ("near.threshold=1.0", "near.threshold=0.7")
ENOUGH = 60


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield each change before each stage that may read the corpus, then readers and writers."""
    every = [(stage.name, change) for stage in (*stages.SCAN, *stages.FILTER) for change in CHANGES]
    draw = random.Random(f"{seed} inputs")
    draw.shuffle(every)
    for number, (stage, change) in enumerate(every):
        acting = functools.partial(_changed, ground, stage, change)
        row = "changed in the scan" if stage in SCANNING else "changed in the filter"
        yield Case("inputs", row, f"{stage}, {change}", acting)
        if number < ENOUGH // 4:
            asked = ("explain", "query", "check", "report")[number % 4]
            reading = functools.partial(_beside, ground, asked)
            yield Case("inputs", f"{asked} beside a filter", f"{asked} {number}", reading)


SCANNING = {stage.name for stage in stages.SCAN}


def change(corpus: Path, how: str) -> None:
    """Change a corpus as someone does who does not know that it is being read."""
    first = corpus / "shard-0.jsonl"
    lines = first.read_text().splitlines(keepends=True)
    if how == CHANGES[0]:
        first.write_text("".join([*lines, json.dumps({"id": "new", "text": "new words " * 30})]))
    elif how == CHANGES[1]:
        own = json.loads(lines[4])
        own["text"] = own["text"].swapcase()[::-1]
        first.write_text("".join([*lines[:4], json.dumps(own) + "\n", *lines[5:]]))
    elif how == CHANGES[2]:
        (corpus / "shard-1.parquet").unlink()
    else:
        first.write_text("")


def change_before(stage: str, corpus: Path, how: str) -> None:
    """Let this process change its corpus just before a stage begins."""
    perform = Session.perform

    def changing(session: Session, which: Stage) -> None:
        if which.name == stage:
            change(corpus, how)
        perform(session, which)

    IN_THE_CHILD.setattr(Session, "perform", changing)


def _changed(ground: Ground, stage: str, how: str, folder: Path) -> str:
    corpus, run = shutil.copytree(ground.corpus, folder / "corpus"), folder / "run"
    act = "scan" if stage in SCANNING else "filter"
    if act == "filter":
        told(rote(*command("scan", corpus, run)))
    changing = functools.partial(change_before, stage, corpus, how)
    outcome = told(rote(*command(act, corpus, run), before=changing))
    if outcome == "ok":
        if act == "scan":
            outcome = told(rote(*command("filter", corpus, run)))
        if outcome == "ok" and texts(run) not in (_texts_of(ground, ""), _texts_of(ground, how)):
            raise Found("wrong", "kept/ is of neither the former nor the new corpus")
    for again in ("scan", "filter"):
        ended = rote(*command(again, corpus, run))
        if told(ended) != "ok":
            raise Found("lost", f"{again} again: {ended.err[-300:]}")
    if texts(run) != _texts_of(ground, how):
        raise Found("wrong", "after another scan kept/ is not that of the new corpus")
    return "refused" if outcome == "refused" else "same"


def texts(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that a filter wrote."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("kept", "removed"):
        for path in sorted((run / name).rglob("*.parquet")):
            rows = pq.read_table(path).to_pylist()
            if rows:
                found[path.relative_to(run).as_posix()] = rows
    return found


_TEXTS: dict[str, dict[str, list[dict[str, Any]]]] = {}


def _texts_of(ground: Ground, how: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a filter writes of the corpus after a change, in a new run folder."""
    if how not in _TEXTS:
        folder = ground.folder / "inputs" / (how.replace(" ", "-") or "none")
        corpus = shutil.copytree(ground.corpus, folder / "corpus")
        if how:
            change(corpus, how)
        for act in ("scan", "filter"):
            told(rote(*command(act, corpus, folder / "run")))
        _TEXTS[how] = texts(folder / "run")
    return _TEXTS[how]


# -- readers beside a writer


def _beside(ground: Ground, asked: str, folder: Path) -> str:
    run = shutil.copytree(ground.filtered, folder / "run")
    words = {
        "explain": ("explain", run, ROW),
        "query": ("query", run, "--text", "the words of a text"),
        "check": ("check", run),
        "report": ("report", run, "--local"),
    }[asked]
    expected = []
    for setting in THRESHOLDS:
        told(rote(*command("filter", ground.corpus, run), f"--set={setting}"))
        expected.append(rote(*words).out)
    ended: list[Ended] = []

    def write() -> None:
        plain = command("filter", ground.corpus, run)
        ended.extend(rote(*plain, f"--set={setting}") for setting in THRESHOLDS * 2)

    writer = threading.Thread(target=write)
    writer.start()
    answers = []
    while writer.is_alive():
        answers.append(rote(*words))
    writer.join()
    outcomes = {_judged(asked, answer, expected) for answer in answers}
    for one in ended:
        # a report holds the lock of the folder while it is written, and the filter says so
        if told(one) != "ok" and asked != "report":
            raise Found("wrong", f"the writer: {one.err[-300:]}")
    return "refused" if "refused" in outcomes else "same"


def _judged(asked: str, answer: Ended, expected: list[str]) -> str:
    if asked == "check" and answer.code == 1 and "rote: " not in answer.err:
        return "refused"  # it names what is being written
    if told(answer) == "refused":
        return "refused"
    if "not decided" in answer.out.lower():
        return "refused"  # the filter is between two versions, and the answer says so
    if asked in {"explain", "query"} and answer.out not in expected:
        raise Found("wrong", f"an answer of neither version: {answer.out[:300]!r}")
    return "same"
