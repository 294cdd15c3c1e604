"""What a run over a large corpus would cost: constants that were measured in small, carried there.

Nothing here was run on more than one machine. Constants are taken for linear in the text, but where
a limit of the code says otherwise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scheduler import Load, Ran, simulate

RESULTS = Path(__file__).parent / "results"
Row = dict[str, Any]
GB, TB = 1e9, 1e12

# of a node, assumed: 16 virtual cores of x86 with 64 GB, at about its list price by the hour in 2026
CORES, NODE_MEMORY, NODE_DOLLARS = 16, 64e9, 0.80
NODE_BYTES = 1.5e9  # a second, over the network to what all nodes share
PUT, GET = 5e-6, 4e-7  # dollars of a request of an object storage that writes, that reads

# of the code
GROUP_BYTES, GROUPS, LARGEST_GROUP = 4 << 20, 200, 1 << 30  # pipeline/scan/inventory.py
DOCUMENT_BYTES = 340  # pipeline/engine/memory.py
ANCHOR_VALUES = 2.0**32  # pipeline/scan/repeats/chosen.py
WINDOWS_AN_ANCHOR = 11  # of 50 words, by runs of 30
NUMBERS = 2.0**32  # of documents, pipeline/scan/rejections.py
SHARDS, ROWS = 2.0**24, 2.0**40  # pipeline/engine/shards.py
RANGE_BYTES = 16 << 20  # pipeline/storage/mirror.py
UPLOAD_BYTES = 5 << 20  # of obstore, a part of a file that is written
SHARD_BYTES = 64e6  # of a corpus, assumed
QUOTED = 300  # texts that a report reads again, each from a shard of its own at most
PARTS = 4_096  # of a stage that maps its own parts, on a corpus so large

MAPS = ("sketch", "emit")
IN_PARTS = ("pairs", "windows")  # as it is (decision 0014)
WOULD_BE = ("candidates", *IN_PARTS)  # what would be one more


@dataclass(frozen=True)
class Constants:
    """What a stage costs for a GB of text.

    Attributes:
        name: of the stage.
        cpu_s: CPU seconds.
        texts_s: those of them for texts of single rows, which are a fixed number.
        read: bytes read for a byte of text.
        written: bytes of finished files.
        aside: bytes put aside.
        serial: share of its CPU seconds that is in the thread of its unit, not in those it starts.
        grows: by which power of the text its CPU seconds grow, between the smallest and the
            largest corpus of one kind.
        spread: seconds of each unit over their mean, of a map.
    """

    name: str
    cpu_s: float
    texts_s: float
    read: float
    written: float
    aside: float
    serial: float
    grows: float
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Corpus:
    """A corpus that is carried to.

    Attributes:
        text: bytes of text.
        documents: how many.
        shards: files.
        groups: units of a map.
    """

    text: float
    documents: float
    shards: float
    groups: int


@cache
def record(kind: str) -> Row:
    """Return the newest record of a kind."""
    path = max(RESULTS.glob(f"{kind}-2*.json"))
    return dict(json.loads(path.read_text(encoding="utf-8")))


@cache
def constants() -> tuple[Constants, ...]:
    """Return the constants of each stage, of the largest corpus that was measured."""
    first, last = measured()[0], measured()[-1]
    text = last["text_bytes"]
    found = []
    for name, now in last["stages"].items():
        before, units = first["stages"][name], now["units"]
        times = math.log(text / first["text_bytes"])
        mean = sum(units) / len(units)
        found.append(
            Constants(
                name,
                now["cpu_s"] / text * GB,
                now["texts_s"] / text * GB,
                max(0, now["read"]) / text,
                now["written"] / text,
                now["aside"] / text,
                min(1.0, units[0] / now["cpu_s"]) if len(units) == 1 else 1.0,
                math.log(now["cpu_s"] / before["cpu_s"]) / times,
                tuple(seconds / mean for seconds in units) if name in MAPS else (1.0,),
            )
        )
    return tuple(found)


def measured() -> list[Row]:
    """Return the runs over corpora of one kind, the smallest first."""
    runs = [run for run in record("constants")["runs"] if run["corpus"].startswith("constant")]
    return sorted(runs, key=lambda run: float(run["text_bytes"]))


def corpus(text: float) -> Corpus:
    """Return a corpus of so much text, of documents as those that were measured."""
    last = measured()[-1]
    limit = max(GROUP_BYTES, min(text / GROUPS, LARGEST_GROUP))
    return Corpus(
        text,
        text / last["text_bytes"] * last["documents"],
        text / SHARD_BYTES,
        math.ceil(text / limit),
    )


def full_windows() -> float:
    """Return how many times as much `windows` costs where every window is counted.

    From text of which every window repeats, beside text of which none does.
    """
    kind = _kind("chain")
    none, every = (kind[side]["stages"]["windows"] for side in ("ordinary", "skewed"))
    own = measured()[-1]
    share = own["repeated_words"] / own["words"]
    return float(every / (none + (every - none) * share))


def _kind(name: str) -> Row:
    (found,) = [kind for kind in record("skew")["kinds"] if kind["kind"] == name]
    return dict(found)


def chosen_wrongly(text: float) -> float:
    """Return the share of windows that are counted though they do not repeat.

    Those whose anchor has the bits of another in the two-bit table by chance.
    """
    last = measured()[-1]
    anchors = text / last["text_bytes"] * last["windows"]["windows"] / WINDOWS_AN_ANCHOR
    return 1 - math.exp(-anchors / ANCHOR_VALUES)


def loads(of: Corpus, *, parts: Sequence[str], lines: float = 0.0) -> list[Load]:
    """Return the stages of a run over a corpus as the scheduler sees them.

    Args:
        of: the corpus.
        parts: the stages that map their own parts; what their own thread does stays with the driver.
        lines: of one template, in one part of each of these.
    """
    found = []
    for stage in constants():
        text = text_of(stage, of)
        seconds = stage.cpu_s * text / GB
        if stage.name == "windows":
            seconds *= 1 + (full_windows() - 1) * chosen_wrongly(of.text)
        moved = (stage.read + stage.written + stage.aside) * text / NODE_BYTES
        if stage.name in MAPS:
            spread = np.random.default_rng(1).choice(stage.spread, of.groups)
            tasks = seconds * spread / spread.sum()
            found.append(Load(stage.name, tasks.tolist(), moved=moved))
        elif stage.name in parts:
            alone = seconds * stage.serial
            each = [(seconds - alone) / PARTS] * PARTS
            each[-1] += lines * _of_a_line(stage.name)
            found.append(Load(stage.name, each, alone=alone, moved=moved))
        else:
            found.append(Load(stage.name, [seconds], True, stage.serial, moved=moved))
    return found


def text_of(stage: Constants, of: Corpus) -> float:
    """Return the bytes of text that a stage costs as much as; of a report, some stay as many."""
    quoted = min(of.text, QUOTED * SHARD_BYTES)  # no further than the shards that hold one
    share = stage.texts_s / stage.cpu_s
    return (1 - share) * of.text + share * quoted


def _of_a_line(stage: str) -> float:
    """Return the CPU seconds that a line of a template costs a stage beyond an ordinary one."""
    kind = _kind("template")
    own, other = kind["skewed"], kind["ordinary"]
    more = float(own["stages"][stage] - other["stages"][stage])
    return max(0.0, more / float(own["given"]))


def simulated(of: Corpus, nodes: int, *, parts: Sequence[str], lines: float = 0.0) -> list[Ran]:
    """Return what becomes of a run on a cluster."""
    return simulate(loads(of, parts=parts, lines=lines), nodes, CORES, record_seconds(of))


def record_seconds(of: Corpus) -> float:
    """Return the seconds of the driver for each unit of a map: to make it, and to record it.

    A unit is recorded with all that finished meanwhile, so that recording takes a twentieth of the
    time at most; it does not hold up the others.
    """
    driver = record("constants")["driver"][-1]
    return float(driver["work_s"]) * of.shards / float(driver["shards"])


def requests(text: float) -> float:
    """Return the dollars of the requests of a run over a corpus of so much text."""
    run = measured()[-1]
    written = run["folder_bytes"] / run["text_bytes"] * text
    return float(text / RANGE_BYTES * GET + written / UPLOAD_BYTES * PUT)


def moved(of: Corpus) -> float:
    """Return the bytes that a run reads and writes on what all nodes share."""
    return sum(
        (stage.read + stage.written + stage.aside) * text_of(stage, of) for stage in constants()
    )
