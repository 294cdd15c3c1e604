"""What canaries are made of: pieces and words of the corpus, or the user's own passages.

The documents are of families that repeat nothing and that no proxy is ever trained on, chosen by
hash as those of plants are. A piece is nine words of one of them, so that no run of thirteen words
of a canary is of the corpus; passages of the corpus as they stand would be, and a model that is
trained on it meets them beside their canary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.canaries.made.design import NATURAL, RANDOM, Design
from pipeline.config.sections import Config
from pipeline.engine.forgotten import listed_texts
from pipeline.engine.run_folder import RunFolder
from pipeline.engine.shards import active_shards
from pipeline.engine.tables import read_table
from pipeline.engine.texts import texts_of_rows
from pipeline.errors import InputError
from pipeline.matching.fields import read_fields
from pipeline.score.sequences.catalogue import COLUMNS, catalogue, without_texts
from pipeline.score.sequences.sampling import held_out, unrepeated
from pipeline.score.sequences.taught import families_with
from pipeline.text import segmentation
from schemas.scan.counts import COUNTS
from schemas.score.taught import TAUGHT

WORDS = 72  # of a canary: more than 64 tokens of any usual tokenizer, and than a window's 50 words
PIECE = 9  # words
PER_DOCUMENT = 400  # pieces, or passages, of a document at most
MOST_BYTES = 30 * PIECE  # of a piece: no long rows of signs
LIST_WORDS = 2_048  # of the word list at most
LEAST_LIST = 16
WORD_LENGTHS = range(2, 16)  # letters of a word of the list; a letter that is a word is one
BYTES_PER_WORD = 8
SLACK = 4  # texts that are not used: cut within a word, or in the corpus
LEAST_READ = 200_000  # bytes, for the word list
MOST_PASSAGES = 64 << 20  # bytes of the user's own texts
_ORDER, _CHOICE = 61, 62


@dataclass(frozen=True)
class Sources:
    """What canaries are made of.

    Attributes:
        words: the word list of random canaries, most frequent first.
        pieces: texts for natural canaries, in an order by chance.
        per_text: how many of them are put together to one.
    """

    words: tuple[str, ...]
    pieces: tuple[str, ...]
    per_text: int


def sources(run: RunFolder, counts: Sequence[Path], config: Config, design: Design) -> Sources:
    """Return what canaries are made of.

    Args:
        run: a scanned run folder.
        counts: the files of its table `counts`.
        config: its settings.
        design: which canaries are made.

    Raises:
        InputError: When the corpus, or the user's own texts, have too little for them.
    """
    texts = _held_out(run, counts, config, design)
    words = _word_list(texts, config.sketch.seed)
    if RANDOM in design.kinds and len(words) < LEAST_LIST:
        raise _too_little(f"{len(words)} words for a word list", f"{LEAST_LIST} or more")
    random = np.random.Generator(np.random.PCG64([design.seed, _ORDER]))
    if NATURAL not in design.kinds:
        return Sources(words, (), 1)
    own = bool(design.passages)
    if own:
        texts = _own_texts(design, config)
    size = WORDS if own else PIECE
    pieces = list(dict.fromkeys(_pieces(texts, size, config.sketch.seed)))
    order = random.permutation(len(pieces)).tolist()
    return Sources(words, tuple(pieces[place] for place in order), WORDS // size)


def one_line(text: str) -> str:
    """Return a text with one space in place of each run of spaces and line breaks."""
    return " ".join(text.split())


def _held_out(run: RunFolder, counts: Sequence[Path], config: Config, design: Design) -> list[str]:
    """Return texts that repeat nothing and that no proxy was trained on, in an order by hash."""
    table = read_table(counts, COUNTS, list(COLUMNS))
    known = catalogue(without_texts(table, listed_texts(run.manifest)))
    wanted = max(map(design.texts, design.kinds)) * WORDS * BYTES_PER_WORD * SLACK
    allowed = held_out(known, config.proxy.seed)
    if tables := run.paths("taught"):  # proxies that are kept saw what was held out otherwise then
        taught = read_table(tables, TAUGHT, ["text_key"])
        allowed &= ~families_with(known, taught["text_key"].to_numpy())
    chosen = unrepeated(known, allowed, max(wanted, LEAST_READ), design.seed + _CHOICE)
    keys = known.row_key[chosen]
    found = dict(texts_of_rows(active_shards(run.manifest), config.input, keys))
    order = np.argsort(known.text_key[chosen], kind="stable")
    return [found[key] for key in keys[order].tolist() if key in found]


def _own_texts(design: Design, config: Config) -> list[str]:
    """Return the texts of the user's own files, in their order."""
    fields = read_fields(design.passages, config.input, (), MOST_PASSAGES)
    return [str(text) for text in fields.table["text"].to_pylist()]


def _pieces(texts: Sequence[str], size: int, seed: int) -> Iterator[str]:
    """Yield runs of so many words of each text, one after the other, with what is between them."""
    found = segmentation.words(pa.array(texts, pa.large_string()), seed)
    for number, text in enumerate(texts):
        low, high = found.offsets[number : number + 2].tolist()
        raw, starts = text.encode(), found.starts[low:high].tolist()
        bounds = [*starts[::size], len(raw)] if len(starts) % size == 0 else starts[::size]
        for first, last in list(pairwise(bounds))[:PER_DOCUMENT]:
            piece = raw[first:last].decode()
            spaced = one_line(piece) + (" " if piece[-1:].isspace() else "")
            if last - first <= MOST_BYTES * size // PIECE:
                yield spaced


def _word_list(texts: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return the most frequent words of some texts that are letters only, in small letters."""
    found = segmentation.words(pa.array(texts, pa.large_string()), seed)
    counted: Counter[str] = Counter()
    for number, text in enumerate(texts):
        own = slice(*found.offsets[number : number + 2].tolist())
        raw = text.encode()
        for first, last in zip(found.starts[own].tolist(), found.ends[own].tolist(), strict=True):
            counted[raw[first:last].decode().lower()] += 1
    listed = [
        word
        for word in counted
        if word.isalpha() and (len(word) in WORD_LENGTHS or not word.isascii())
    ]
    return tuple(sorted(listed, key=lambda word: (-counted[word], word))[:LIST_WORDS])


def _too_little(found: str, expected: str) -> InputError:
    return InputError(
        "The corpus has too little text to make canaries of.",
        where="families that repeat nothing and that no proxy is trained on, an eighth of all",
        found=found,
        expected=expected,
        fix="ask for fewer (--count, --doses), for random ones only (--kinds random), or give "
        "texts of your own (--passages FILE)",
    )
