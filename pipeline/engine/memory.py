"""What a run needs of memory, planned before it starts; `limits.memory` is for the whole process.

What the process has anyway (code, libraries, compiled kernels) is taken off the budget; the rest is
shared by the units that run at a time. A map unit needs room for a batch of rows in its several
forms; a reduce stage for a few numbers per document and for one chunk of words per thread; and the
longest document must fit, since a row is read whole. Everything else follows what is given: tables
of hashes are gone through in ranges, sorted data spills. How the figures below were measured is in
docs/performance.md.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.sections import Config
from pipeline.corpus import Shard, read_documents
from pipeline.corpus.files import is_packed, reading
from pipeline.corpus.room import give_room
from pipeline.errors import ConfigError, InputError
from pipeline.storage.lent import is_away
from pipeline.text.segmentation import text_buffers

MIB = 1 << 20
M_ARENA_MAX = -8  # of glibc's malloc.h
# what compiled loops, DuckDB and Polars add to a process that has imported them
KERNELS = 208 * MIB
# the least of both: so that a budget named by one process is enough for another
PROCESS = 515 * MIB
UNIT = 192 * MIB  # of a map unit: a batch read, taken apart, and written
REDUCE = 160 * MIB  # of a reduce stage, without what grows with the documents
CHUNK = 64 * MIB  # of a thread of a reduce stage: one chunk of words in its several forms
DOCUMENT = 340  # bytes of a document in the tables that are held whole
LONGEST = 8  # times the longest document: read, decoded, as words, and written
LEAST_LINE = 1 << 20  # of a JSON Lines file, that is read with any budget
SCORING = 224 * MIB  # of Torch and of what it works with, besides:
WEIGHT = 16  # of a proxy's weight: itself, its gradient, two moments
TOKEN = 16  # of a token that proxies are trained on
SAMPLED = 4  # files that are looked into
SAMPLE_BYTES = MIB
TEXT_PER_BYTE = 4  # of a compressed file that tells nothing
PLAIN = ("jsonl", "csv")  # formats whose files have a byte for each of text, if not packed


_WORKED = [0]  # bytes that this process held when its last run began


@dataclass(frozen=True)
class Plan:
    """What a run may use of memory, and what it needs.

    Attributes:
        budget: bytes that it may use.
        base: bytes that the process has anyway.
        smallest: the least budget that would do, in bytes.
    """

    budget: int
    base: int
    smallest: int


def budget_of(config: Config) -> int:
    """Return how many bytes the process may use; half of the machine's unless set."""
    return config.limits.memory or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def workers_of(config: Config) -> int:
    """Return how many threads may be used: one per core, fewer when memory is short."""
    wanted = config.limits.workers or len(os.sched_getaffinity(0))
    return max(1, min(wanted, (budget_of(config) - base()) // UNIT))


def base() -> int:
    """Return the bytes that this process has before any work, kernels included."""
    return max(_at_first(), *_WORKED)


@cache
def _at_first() -> int:
    return max(PROCESS, _resident() + KERNELS)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def begin(config: Config) -> None:
    """Prepare the process for a run: one heap, and what an earlier run left is off the budget.

    Lines of the corpus that are longer than the budget has room for are not held from now on.
    """
    one_heap()
    release()
    _WORKED[0] = _resident()
    room = max(LEAST_LINE, (budget_of(config) - base() - UNIT) // LONGEST)
    give_room(room, lambda length: f"{_mb(base() + UNIT + LONGEST * length)}MB")


def one_heap() -> None:
    """Let all threads and Arrow share one heap: with several, what is given back stays scattered.

    Measured over a million short documents: a peak of 789 MB instead of 1,049 with one heap for the
    threads; over 750 MB of text 867 instead of 968 with Arrow on it too. Speed is the same, since
    compiled loops ask for few and large arrays.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(M_ARENA_MAX, 1)


def release() -> None:
    """Give back to the system what allocators hold but nothing uses."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc
        trim(0)


def for_scoring(config: Config) -> int:
    """Return the bytes that training and scoring with proxies need, above what a process has."""
    proxy = config.proxy
    weights = sum(
        12 * layers * width * width + 2 * proxy.vocabulary * width for layers, width in proxy.shapes
    )
    return SCORING + WEIGHT * weights + TOKEN * proxy.sample_tokens


def plan(
    manifest: dict[str, Any], shards: Sequence[Shard], config: Config, at_least: int = 0
) -> Plan:
    """Return what a run over these shards needs of memory.

    Rows come from the manifest where a scan has counted them, else from footers and a sample.

    Args:
        manifest: of the run folder.
        shards: the files.
        config: the settings.
        at_least: bytes that the command needs above what the process has, whatever the shards.

    Raises:
        ConfigError: the budget is too small; it names the smallest that would do.
    """
    counted = {entry["number"]: entry["documents"] for entry in manifest["corpus"]["shards"]}
    documents, longest, row_bytes = 0, 0, 0.0
    unknown = [shard for shard in shards if counted.get(shard.number) is None]
    for shard in sorted(unknown, key=lambda shard: -shard.bytes)[:SAMPLED]:
        most, mean = _sample(shard, config)
        longest, row_bytes = max(longest, most), max(row_bytes, mean)
    for shard in shards:
        known = counted.get(shard.number)
        if known is None:
            known, mean_of_group = _footer(shard, row_bytes)
            longest = max(longest, mean_of_group)
        documents += known
    unit = UNIT + LONGEST * longest
    reduce = REDUCE + LONGEST * longest + DOCUMENT * documents
    smallest = base() + max(unit, reduce, at_least)
    found = Plan(budget_of(config), base(), smallest)
    if found.budget < smallest:
        raise too_small(found.budget, smallest, f"{documents:,} documents, the longest seen "
                        f"{_mb(longest)} MB")  # fmt: skip
    return found


def too_small(budget: int, smallest: int, why: str, where: str = "limits.memory") -> ConfigError:
    """Return the error for a budget that cannot do."""
    return ConfigError(
        "The memory budget is too small for this corpus.",
        where=where,
        found=f"{_mb(budget)} MB ({why})",
        expected=f"{_mb(smallest)} MB or more",
        fix=f"--set limits.memory={_mb(smallest)}MB",
    )


def require_room(longest: int, room: int, config: Config, where: str) -> None:
    """Refuse a document that is longer than the plan's sample has shown and than there is room.

    Raises:
        ConfigError: for such a document; it names the budget that would do.
    """
    if not room or LONGEST * longest <= room:
        return
    smallest, budget = base() + UNIT + LONGEST * longest, budget_of(config)
    found = f"a document of {_mb(longest)} MB"
    if budget >= smallest:  # but units at once share it
        raise ConfigError(
            "The memory budget is too small for a document beside other workers.",
            where=where,
            found=f"{_mb(room)} MB for each of them ({found})",
            expected=f"{_mb(LONGEST * longest)} MB or more",
            fix="--set limits.workers=1",
        )
    raise too_small(budget, smallest, found, where)


def _mb(size: float) -> int:
    return -(-int(size) // 10**6)


def _sample(shard: Shard, config: Config) -> tuple[int, float]:
    """Return the longest text and the bytes of a row in the first batch of a file."""
    try:
        batch = next(iter(read_documents(shard, config.input, batch_bytes=SAMPLE_BYTES)), None)
    except InputError:  # the sketch reads it again, and tells
        return 0, 0.0
    if batch is None or not len(batch.texts):
        return 0, 0.0
    lengths = np.diff(text_buffers(batch.texts)[0])
    return int(lengths.max()), float(lengths.mean())


def _footer(shard: Shard, row_bytes: float) -> tuple[int, int]:
    """Return rows of a file, estimated where no footer is here, and bytes of a row in a group."""
    if shard.format == "text":
        return 1, shard.bytes
    if shard.format != "parquet" or is_away(Path(shard.path)):
        plain = shard.format in PLAIN and not is_packed(shard.path)
        text = shard.bytes if plain else shard.bytes * TEXT_PER_BYTE
        return int(text // max(1.0, row_bytes + 1)), 0
    with reading(shard.path):
        facts = pq.read_metadata(shard.path)
    groups = [facts.row_group(number) for number in range(facts.num_row_groups)]
    means = [group.total_byte_size // group.num_rows for group in groups if group.num_rows]
    return facts.num_rows, max(means, default=0)
