"""Make the corpus of a back-test: whole families of the run, and what is planted among them.

Natural text occurs as often as in the run. Where a run has too few repeated families to judge a
forecast on, half of the natural text is excerpts of its documents, copied as often as a power law
says (memorization.md 5.1): real text with planted counts, and the facts say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from pipeline.backtest.corpus.canaries import PlantedText, passages, plant, vocabulary
from pipeline.backtest.sizes import Size
from pipeline.config.sections import ProxyConfig
from pipeline.engine.stage import Work
from pipeline.score.proxy.tokenizer import encode, train_tokenizer
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.panel import MOST_BYTES
from pipeline.score.sequences.sampling import (
    LARGEST_SHARE,
    REPEATED,
    bytes_of_families,
    family_repetition,
    held_out,
    take_that_fit,
)
from pipeline.score.sequences.training_rows import read_texts
from pipeline.score.slices import STRIDE, starts
from pipeline.text.arrays import Int64
from pipeline.text.hashing import keyed_hash
from schemas.backtest import CORPUS

BYTES_PER_TOKEN = 4
LEAST_REPEATED = 100  # repeated families without which counts are planted
EXCERPT = 96  # tokens
MOST_COPIES = 64  # of an excerpt
POWER = 2.0  # the chance of n copies falls as n^-2
TOKENIZER_BYTES = 32 << 20  # of text that the tokenizer is trained on
_ORDER, _COPIES, _SINGLES = 11, 12, 13


@dataclass
class BacktestCorpus:
    """The texts of a back-test.

    Attributes:
        tokenizer: trained on the natural text.
        texts: natural and planted texts, also those that stay outside.
        reserve: documents that nothing was made from, to refill arms from.
        facts: counts for the record.
    """

    tokenizer: Tokenizer
    texts: list[PlantedText]
    reserve: list[str]
    facts: dict[str, Any] = field(default_factory=dict)


def make(work: Work, known: Catalogue, size: Size, proxy: ProxyConfig) -> BacktestCorpus:
    """Return the texts of a back-test: families chosen by hash, and texts planted among them.

    Args:
        work: the scanned run.
        known: its documents.
        size: how large the back-test is.
        proxy: the settings of the proxies: vocabulary and seed.

    Raises:
        ValueError: When the run has too little text to plant from.
    """
    repeated, single = _families(known, size, proxy.seed)
    whole = _documents(known, repeated)
    texts = read_texts(work, known, np.sort(np.concatenate((whole, _documents(known, single)))))
    singles = [texts[number] for number in _documents(known, single).tolist()]
    tokenizer = train_tokenizer(_at_most(singles, TOKENIZER_BYTES), proxy.vocabulary)
    natural = _natural(known, whole, texts, proxy.seed)
    multiplied = len(repeated) < LEAST_REPEATED
    supply = iter(singles)
    rows = size.rows - _rows(tokenizer, natural)
    if multiplied:
        natural += _multiplied(tokenizer, supply, rows // 2, proxy.seed)
        rows = size.rows - _rows(tokenizer, natural)
    natural += _singles(tokenizer, supply, rows, proxy.seed)
    words = vocabulary(tokenizer, _at_most(singles, TOKENIZER_BYTES))
    source = (cut for text in supply for cut in passages(tokenizer, [text]))
    planted = plant(tokenizer, words, source, size, proxy.seed)
    facts = {
        "natural_families": len({text.cluster for text in natural}),
        "natural_families_repeated_in_the_run": len(repeated),
        "counts_of_natural_text": "excerpts copied by a power law" if multiplied else "the run's",
        "planted_clusters": len({text.cluster for text in planted}),
        "planted_clusters_inside": len({text.cluster for text in planted if text.inside}),
    }
    return BacktestCorpus(tokenizer, natural + planted, list(supply), facts)


def rows_of_corpus(texts: list[PlantedText]) -> pa.Table:
    """Return the documents to scan: each copy of what is inside, and natural text held out."""
    taken = [text for text in texts if text.inside or text.kind == "natural"]
    ids = [f"{text.cluster}/{text.variant}/{copy}" for text in taken for copy in range(text.copies)]
    times = np.array([text.copies for text in taken], np.int64)
    place = np.repeat(np.arange(len(taken)), times)
    columns = {
        "id": pa.array(ids, pa.string()),
        "text": pa.array([text.text for text in taken], pa.string()).take(pa.array(place)),
        "source": pa.array([text.kind for text in taken], pa.string()).take(pa.array(place)),
    }
    return pa.table(columns).cast(CORPUS)


def _families(known: Catalogue, size: Size, seed: int) -> tuple[Int64, Int64]:
    """Return repeated families for half of the text, and others for everything made from those."""
    order = np.argsort(keyed_hash(known.family_key, seed + _ORDER), kind="stable")
    bytes_of = bytes_of_families(known)
    budget = size.rows * STRIDE * BYTES_PER_TOKEN
    fitting = (bytes_of * LARGEST_SHARE <= budget) & (bytes_of > 0)
    repeated = family_repetition(known) >= REPEATED
    chosen = take_that_fit(order[(fitting & repeated)[order]], bytes_of, budget // 2)
    rest = order[(~repeated & (bytes_of <= MOST_BYTES))[order]]
    return chosen, take_that_fit(rest, bytes_of, 4 * budget + (4 << 20))


def _documents(known: Catalogue, families: Int64) -> Int64:
    """Return one document of each distinct text of some families, in the families' order."""
    rank = np.full(len(known.family_key), len(known.family_key), np.int64)
    rank[families] = np.arange(len(families))
    found = np.flatnonzero(known.first & (rank[known.family] < len(families)))
    return found[np.argsort(rank[known.family[found]], kind="stable")]


def _natural(
    known: Catalogue, numbers: Int64, texts: dict[int, str], seed: int
) -> list[PlantedText]:
    """Return whole documents of repeated families, with their copies; an eighth is held out."""
    outside = held_out(known, seed)
    variants: dict[str, int] = {}
    found = []
    for number in numbers.tolist():
        family = int(known.family[number])
        name = f"family-{known.family_names[family]}"
        variants[name] = variants.get(name, -1) + 1
        copies = int(known.exact_count[number])
        found.append(
            PlantedText(
                "natural", "as found", name, name, copies, not outside[family],
                variants[name], copies, texts[number],
            )
        )  # fmt: skip
    return found


def _multiplied(
    tokenizer: Tokenizer, supply: Iterator[str], rows: int, seed: int
) -> list[PlantedText]:
    """Return excerpts, one of a document, with copies drawn from a power law."""
    random = np.random.Generator(np.random.PCG64([seed, _COPIES]))
    chance = np.arange(1, MOST_COPIES + 1) ** -POWER
    found: list[PlantedText] = []
    for text in supply:
        for cut in passages(tokenizer, [text], EXCERPT, 1):
            copies = int(random.choice(MOST_COPIES, p=chance / chance.sum())) + 1
            name = f"excerpt-{len(found)}"
            inside = bool(random.integers(0, 8))
            found.append(
                PlantedText("natural", "excerpt", name, name, copies, inside, 0, copies, cut)
            )
            rows -= copies * len(starts(EXCERPT))
        if rows <= 0:
            break
    return found


def _singles(
    tokenizer: Tokenizer, supply: Iterator[str], rows: int, seed: int
) -> list[PlantedText]:
    """Return whole documents that occur once; an eighth of them is never trained on."""
    random = np.random.Generator(np.random.PCG64([seed, _SINGLES]))
    found: list[PlantedText] = []
    while rows > 0:
        text = next(supply, None)
        if text is None:
            break
        name, inside = f"single-{len(found)}", bool(random.integers(0, 8))
        rows -= len(starts(len(encode(tokenizer, [text])[0].tokens)))
        found.append(PlantedText("natural", "as found", name, name, 1, inside, 0, 1, text))
    return found


def _rows(tokenizer: Tokenizer, texts: list[PlantedText]) -> int:
    """Return how many training rows some texts give, copies included."""
    encoded = encode(tokenizer, [text.text for text in texts])
    return sum(
        len(starts(len(one.tokens))) * text.copies for text, one in zip(texts, encoded, strict=True)
    )


def _at_most(texts: list[str], budget: int) -> list[str]:
    """Return the first texts, up to about so many characters."""
    ends = np.cumsum([len(text) for text in texts])
    return texts[: int(np.searchsorted(ends, budget)) + 1]
