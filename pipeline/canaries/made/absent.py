"""Which texts are not in the corpus: no run of 13 words of them is, compared word by word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config
from pipeline.inspect.audit_pass import HeldOut, shared
from pipeline.matching.asked import Searched, asked, of_words
from pipeline.scan.words import chunk_places
from pipeline.text.arrays import Flags
from pipeline.text.forms import normalized
from pipeline.text.segmentation import Words

RUN_WORDS = 13  # as `rote audit` asks by default


def absent(texts: Sequence[str], words: Sequence[Path], config: Config, threads: int) -> Flags:
    """Return which texts share no run of 13 words with the corpus, in one pass, (texts,).

    Args:
        texts: what is looked for.
        words: the files of the table `words` of the run.
        config: the settings of its scan.
        threads: chunks of words that are searched side by side.
    """
    folded, _ = normalized(pa.array(texts, pa.large_string()), config.text.normalize)
    searched = Searched(RUN_WORDS)
    none, key = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    nobody = HeldOut(
        of_words(Words(np.zeros(1, np.int64), key, none, none), config.sketch, searched), key
    )
    prepared = asked(folded, config.sketch, searched)
    found = shared(prepared, nobody, chunk_places(words), config.sketch, threads)
    return np.asarray(found.longest == 0)
