"""The signatures of a finished scan as MinHash objects of the library datasketch.

No stage uses this: it is an export for people who build an index or estimate similarities with
tools of their own, from the table `signatures` that a scan has made anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasketch import LeanMinHash

from pipeline.config.sections import Config, SketchConfig
from pipeline.engine.run_folder import read_run
from pipeline.engine.tables import read_batches
from pipeline.errors import ConfigError, IntegrityError
from pipeline.scan.signatures import signature_matrix
from pipeline.text.arrays import Uint32
from pipeline.text.segmentation import run_key

SCHEME = "affine32"  # of datasketch: 32-bit values, as ours are
ROWS_AT_ONCE = 8_192


def read_minhashes(run: Path) -> Iterator[tuple[int, LeanMinHash]]:
    """Yield the row_key and the signature of each document of a scanned run, in order of row_key.

    Documents of fewer words than a shingle has are left out, because a scan makes no signature of
    them. A few thousand rows are in memory at a time. A Python loop per row, because datasketch
    has one object for each document: 13 us a document.

    Example:
        Documents 0 and 1 of the first shard are near copies; the bands are those of the scan
        (`sketch.bands`, `sketch.rows`).

        >>> from pathlib import Path
        >>> from datasketch import MinHashLSH
        >>> from pipeline.scan.interchange import read_minhashes
        >>> minhashes = dict(read_minhashes(Path("run")))
        >>> index = MinHashLSH(num_perm=126, params=(42, 3))
        >>> for row_key, minhash in minhashes.items():
        ...     index.insert(row_key, minhash)
        >>> sorted(index.query(minhashes[0]))
        [0, 1]
        >>> minhashes[0].jaccard(minhashes[1]) > 0.5
        True

    Raises:
        ConfigError: When the run holds no signatures.
        IntegrityError: When the signatures are not of the settings that the run folder names.
        RunFolderError: When `run` is no run folder of this version.
    """
    opened = read_run(run)
    sketch = Config.model_validate(opened.manifest["config"]).sketch
    paths = opened.paths("signatures")
    if not paths:
        raise ConfigError(
            "This run has no signatures yet: it was not scanned.",
            where=str(run),
            fix="scan first: rote scan CORPUS... --out RUN",
        )
    for path in paths:
        yield from _of_file(path, sketch)


def _of_file(path: Path, sketch: SketchConfig) -> Iterator[tuple[int, LeanMinHash]]:
    """Yield the row_key and the signature of the documents of one file that have one.

    Raises:
        IntegrityError: When the signatures are not of these settings.
    """
    for batch in read_batches(path, ["row_key", "words", "signature"], ROWS_AT_ONCE):
        signed = np.flatnonzero(batch["words"].to_numpy() >= sketch.shingle_words)
        rows, values = signature_matrix(batch["signature"], sketch.bands * sketch.rows)
        if not np.array_equal(rows, signed):
            raise IntegrityError(
                "The signatures were made with other settings than the run folder names.",
                where=str(path),
                found=f"{len(rows)} signatures of {sketch.bands * sketch.rows} values",
                expected=f"{len(signed)} of them",
                fix="finish the scan: rote scan CORPUS... --out RUN",
            )
        for row_key, signature in zip(batch["row_key"].to_numpy()[rows], values, strict=True):
            yield int(row_key), to_datasketch(signature, sketch)


def to_datasketch(signature: Uint32, sketch: SketchConfig) -> LeanMinHash:
    """Return one signature, a row of uint32 values, as an object of datasketch.

    Its seed comes from `sketch.seed` and `sketch.shingle_words`, so that datasketch refuses to
    compare it with a signature of other settings, or with a hash that it made itself.
    """
    seed = int(run_key(sketch.seed, sketch.shingle_words)) >> 32
    return LeanMinHash(seed=seed, hashvalues=signature, scheme=SCHEME)
