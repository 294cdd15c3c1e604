"""What the acts of a command will cost, told before: text, time, memory, disk.

A look into some files of each kind tells how much text there is, and one hash of 16 MB how fast the
machine is. The constants are of `benchmarks/expected.py`, which holds what was told against what
was then measured (docs/performance.md).
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.sections import Config
from pipeline.corpus import Shard, read_documents
from pipeline.corpus.files import CODECS, reading, suffix_of
from pipeline.engine.memory import Plan, base, budget_of, workers_of
from pipeline.engine.shards import active_shards
from pipeline.errors import ConfigError, InputError
from pipeline.storage.lent import is_away

SAMPLED = 4  # files of a kind that are looked into
LOOK_BYTES = 1 << 18
ROWS_BYTES = 1 << 20
HASHED_BYTES = 1 << 24
LINES = frozenset({".jsonl", ".ndjson", ".jsonlines", ".json", ".csv", ".tsv", ".txt", ".log"})
TEXT_SHARE = 0.8  # of a file whose rows are no lines
USUAL_SPEED = 0.9e9  # bytes a second of BLAKE2b, where the seconds below were measured
# CPU seconds of a megabyte of text: in stages that every thread takes part in, in those of one unit
ACTS = {"scan": (0.0235, 0.0295), "filter": (0.011, 0.0015), "report": (0.0, 0.008)}
START = 2.5  # seconds of imports and compiled kernels
PER_TEXT, PER_DOCUMENT = 1.4, 900  # bytes of the run folder, of a byte of text and of a document
SPILLED = 1.2  # bytes of a byte of text that are put aside, less what memory takes


@dataclass(frozen=True)
class Expected:
    """What a scan and a filter will cost.

    Attributes:
        text_bytes: of all documents.
        documents: rows.
        disk: bytes of the run folder at the end.
        spilled: bytes beside it, for a while.
    """

    text_bytes: int
    documents: int
    disk: int
    spilled: int


def expected(manifest: dict[str, Any], config: Config) -> Expected:
    """Return what the scan and the filter of a corpus will cost.

    Args:
        manifest: with the registry of its shards.
        config: the settings.
    """
    text, documents = _contents(active_shards(manifest), config)
    room = max(0, budget_of(config) - base()) // 4
    return Expected(
        text,
        documents,
        int(PER_TEXT * text + PER_DOCUMENT * documents),
        max(0, int(SPILLED * text) - room),
    )


def seconds(
    found: Expected, config: Config, acts: Sequence[str] = ("scan", "filter"), start: float = START
) -> float:
    """Return how long some acts will take on this machine; of a score that is not known before.

    Args:
        found: what there is of text.
        config: the settings.
        acts: of a command.
        start: seconds until the first begins.
    """
    workers = workers_of(config)
    costs = [ACTS[act] for act in acts if act in ACTS]
    each = sum(mapped / workers + reduced / min(workers, 2) for mapped, reduced in costs)
    return start + found.text_bytes / 1e6 * each * USUAL_SPEED / _speed()


def _contents(shards: Sequence[Shard], config: Config) -> tuple[int, int]:
    """Return about how many bytes of text and how many rows some files hold."""
    kinds: dict[tuple[str, str], list[Shard]] = defaultdict(list)
    for shard in shards:
        if not Path(shard.path).is_file():  # a run folder may have outlived its corpus
            continue
        kinds[shard.format, Path(shard.path).suffix.lower()].append(shard)
    text, rows = 0.0, 0.0
    for (format_, _), own in sorted(kinds.items()):
        here = [shard for shard in own if not is_away(Path(shard.path))] or own
        largest = sorted(here, key=lambda shard: (-shard.bytes, shard.name))[:SAMPLED]
        looks = [_look(shard, config) for shard in largest]
        size = sum(shard.bytes for shard in own)
        share = size / max(1, sum(shard.bytes for shard in largest))
        text += share * sum(look[0] for look in looks)
        rows += len(own) if format_ == "text" and config.input.text_rows == "file" else (
            share * sum(look[1] for look in looks)
        )  # fmt: skip
    return int(text), int(rows)


def _look(shard: Shard, config: Config) -> tuple[float, float]:
    """Return about how many bytes of text and how many rows a file holds, by its first ones.

    No file is read whole: rows of lines are as long as those of its beginning.
    """
    try:
        with reading(shard.path):
            return _looked(shard, config)
    except InputError:  # the scan tells
        return 0.0, 0.0


def _looked(shard: Shard, config: Config) -> tuple[float, float]:
    """Return what `_look` does, of a file that can be read.

    Raises:
        InputError: it cannot.
    """
    times, head = _beginning(shard)
    plain = shard.bytes * times
    if shard.format == "text" and config.input.text_rows == "file":
        return plain, 1.0
    columnar = shard.format not in ("jsonl", "csv", "text")
    batches = read_documents(shard, config.input, everything=columnar, batch_bytes=ROWS_BYTES)
    batch = next(batches, None)
    if batch is None or not len(batch.texts):
        return 0.0, 0.0
    mean = batch.texts.nbytes / len(batch.texts)
    if shard.format == "parquet":
        rows = float(pq.read_metadata(shard.path).num_rows)
    elif batch.columns is not None:
        rows = plain * len(batch.texts) / batch.columns.nbytes
    elif suffix_of(shard.path) in LINES and head.count(b"\n") and not head.startswith(b"["):
        lines = plain * head.count(b"\n") / (head.rindex(b"\n") + 1)
        rows = min(lines, plain / mean)  # a text in quotes has many lines
    else:
        rows = plain * TEXT_SHARE / mean
    return rows * mean, rows


def _beginning(shard: Shard) -> tuple[float, bytes]:
    """Return how many times as long as a file its contents are, and how these begin."""
    codec = CODECS.get(Path(shard.path).suffix.lower())
    with Path(shard.path).open("rb") as stream:
        raw = stream.read(LOOK_BYTES)
    if codec is None:
        return 1.0, raw
    parts: list[bytes] = []
    try:
        if codec == "xz":
            parts.append(lzma.LZMADecompressor().decompress(raw))
        else:
            unpacked = pa.CompressedInputStream(pa.BufferReader(raw), codec)
            while part := unpacked.read(1 << 16):
                parts.append(part)
    except (OSError, lzma.LZMAError):  # it ends in the middle
        pass
    head = b"".join(parts)
    return max(1.0, len(head) / max(1, len(raw))), head


def _speed() -> float:
    """Return how many bytes a second this machine hashes, in CPU time."""
    data = bytes(HASHED_BYTES)
    begun = time.thread_time()
    hashlib.blake2b(data).digest()
    return HASHED_BYTES / max(1e-6, time.thread_time() - begun)


def require_disk(folder: Path, manifest: dict[str, Any], config: Config) -> None:
    """Refuse to begin where the run folder would be larger than it may be, or than there is room.

    Args:
        folder: the run folder.
        manifest: with the registry of its shards.
        config: the settings.

    Raises:
        ConfigError: It would; the message tells how much is needed.
    """
    found = expected(manifest, config)
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    above = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(above).free
    allowed = config.limits.disk or free + there
    needed = found.disk + found.spilled
    if needed > min(allowed, free + there):
        raise ConfigError(
            "The disk is too small for this corpus.",
            where="limits.disk" if config.limits.disk and config.limits.disk < free else str(above),
            found=f"{_size(min(allowed, free + there))} for {_size(found.text_bytes)} of text",
            expected=f"about {_size(needed)}: {_size(found.disk)} for the run folder, "
            f"{_size(found.spilled)} for a while",
            fix="free some or choose another --out"
            + (", or raise limits.disk" if needed <= free + there else "")
            + (", or limits.memory" if found.spilled else ""),
        )


def in_words(
    found: Expected,
    memory: Plan,
    config: Config,
    acts: Sequence[str],
    score: float | None = None,
) -> list[str]:
    """Return the lines that tell a user what is to come.

    Args:
        found: what the text will cost.
        memory: what the command needs of it.
        config: the settings.
        acts: those that have something to do.
        score: seconds of the score; None where they are not known before.
    """
    least, most = _size(memory.smallest), _size(memory.budget)
    timed = [act for act in ("scan", "filter", "report") if act in acts]
    took = [
        f"{act} {_duration(seconds(found, config, [act], START if act == timed[0] else 0.0))}"
        for act in timed
    ]
    of_score = "score: told when it begins" if score is None else f"score {_duration(score)}"
    told = [*took, *([of_score] if "score" in acts else [])]
    lines = [
        f"about {_size(found.text_bytes)} of text in {found.documents:,} rows: {', '.join(told)}",
        f"memory: at least {least}, may use {most} (limits.memory)",
    ]
    if {"scan", "filter"} & {*acts}:
        more = f", for a while {_size(found.spilled)} more" if found.spilled else ""
        lines.append(f"disk: about {_size(found.disk)} for the run folder{more}")
    return lines


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e6:,.0f} MB" if count >= 1e7 else f"{count / 1e6:.2g} MB"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
