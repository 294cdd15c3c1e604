"""Find the personal data of every text: e-mail addresses, phone and card numbers, keys and more."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config.policy import DROP_PERSONAL, MASK_PERSONAL
from pipeline.config.sections import Config
from pipeline.corpus import read_documents
from pipeline.corpus.token_ids import tokenizer_digest
from pipeline.engine.progress import current
from pipeline.engine.shards import row_keys
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import write_table
from pipeline.filter.personal.finds import Finder
from pipeline.installed import parts
from pipeline.text.arrays import Uint64
from schemas.filter.personal import PERSONAL

VERSION = 1
BATCH_BYTES = 8 << 20  # of texts read at once


def settings(config: Config) -> list[Any]:
    """Return the settings that the table depends on, and versions of what validates numbers."""
    read = config.input.model_dump(exclude={"skip_bad_files", "most_rejected", "tokenizer"})
    how = config.personal.model_dump(exclude={"find"})
    libraries = [_version("phonenumbers"), _version("python-stdnum")]
    return [read, tokenizer_digest(config.input), how, config.sketch.seed, *libraries]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def is_asked(config: Config) -> bool:
    """Tell whether personal data is looked for: by its setting, or since a rule needs it."""
    return config.personal.find or bool({MASK_PERSONAL, DROP_PERSONAL} & set(config.policy.rules))


def personal(work: Work) -> Receipt:
    """Write `personal`: where the texts of a group of shards hold personal data.

    A *map* stage: each shard is read once more.

    Raises:
        ConfigError: When the part of rote that this needs is not installed.
    """
    kinds: Counter[str] = Counter()
    rows = 0
    with parts():
        finder = Finder(work.config.personal, work.config.sketch.seed)
    with write_table(work.folder, "personal", work.key, PERSONAL) as out:
        for shard in work.shards:
            for batch in read_documents(shard, work.config.input, batch_bytes=BATCH_BYTES):
                table = _found(finder, batch.texts, row_keys(shard.number, batch.rows))
                kinds.update(table["kind"].to_pylist())
                out.write(table)
                rows += len(batch.rows)
                current().advance(rows, 0, shard.name)
    return Receipt((out.record,), rows, rows, {"finds": dict(sorted(kinds.items()))})


def _found(finder: Finder, texts: pa.LargeStringArray, keys: Uint64) -> pa.Table:
    """Return the rows of `personal` of some texts."""
    finds = list(finder.finds(texts))
    columns = [
        keys[np.array([row for row, _ in finds], np.int64)],
        np.array([find.start for _, find in finds], np.int64),
        np.array([find.end for _, find in finds], np.int64),
        pa.array([find.kind for _, find in finds], pa.string()),
        np.array([find.value for _, find in finds], np.uint64),
    ]
    return pa.table(columns, schema=PERSONAL)
