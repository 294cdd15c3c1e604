"""Plants: passages that every training of proxies carries, at known doses, beside the sample.

A corpus that repeats little teaches its proxies little to remember, so nothing could be fitted to
what they memorize. Plants are passages of documents that are not trained on, each given to the
proxies 1 to 256 times, with families of edited copies and templates: they show at which dose a
model of each size recites, on any corpus. A draw decides which clusters get in and which stay
outside, as many of each (complete randomization, Neyman 1923): those outside are the floor. They
live in memory only: no text of theirs is written, and no count of the corpus knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pipeline.config.sections import ProxyConfig
from pipeline.score.sequences.catalogue import Catalogue
from pipeline.score.sequences.sampling import BYTES_PER_TOKEN, plant_sources
from pipeline.score.sequences.training_rows import Text, TrainingRows, by_text
from pipeline.score.slices import PREFIX, ROW_TOKENS, SEQUENCE, SUFFIX
from pipeline.text.arrays import Flags, Float64, Int64, Uint64
from pipeline.text.hashing import keyed_hash

DOSES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CLUSTERS = (16, 16, 16, 16, 14, 12, 8, 4, 3)  # inside, of each dose, for UNIT_TOKENS of sample
SHARES = (0.05, 0.10, 0.25)  # of a fuzzy family's tokens that differ from the passage
FUZZY = 4  # families of each share, likewise
COPIES = 32  # in a fuzzy family
FRAMES = 4  # templates, likewise
INSTANCES = (1, 2, 4, 8)  # copies of the texts that one frame has
SLOTS = 4  # tokens in which these differ
UNIT_TOKENS = 700_000
SLACK = 1.5  # documents end within a passage
LEAST_SCALE, MOST_SCALE = 1 / 8, 32.0
SCORED_VARIANTS = 3
WINDOW = 16  # tokens, about 8 words
_PLACE, _DRAW = 31, 32
EXACT, FUZZY_KIND, TEMPLATE = "exact", "fuzzy", "template"


@dataclass(frozen=True)
class Plants:
    """Texts of 64 tokens with their place in the experiment; one row per distinct text.

    Attributes:
        tokens: EOS and the text, (texts, 65).
        kind: exact, fuzzy or template, (texts,).
        cluster: number of what is drawn in or out together, (texts,).
        variant: number of the text in its cluster, (texts,).
        copies: times that an epoch teaches it, if it is inside, (texts,).
        inside: whether it is, (texts,).
        half: 0 or 1, the half whose cross-fit proxy is taught it, (texts,).
        effective: exact copies that its cluster's texts are worth, (texts,).
    """

    tokens: Int64  # (texts, 65)
    kind: np.ndarray
    cluster: Int64
    variant: Int64
    copies: Int64
    inside: Flags
    half: Int64
    effective: Float64

    @property
    def scored(self) -> Flags:
        """Which texts are scored: all but the later variants of a fuzzy family, (texts,)."""
        return np.asarray(self.variant < SCORED_VARIANTS)

    def rows(self) -> tuple[Int64, Int64]:
        """Return what an epoch teaches of them, and the half of each, (rows, 65) and (rows,)."""
        times = np.where(self.inside, self.copies, 0)
        return np.repeat(self.tokens, times, axis=0), np.repeat(self.half, times)

    def counts_of(self, first: int, last: int) -> Int64:
        """Return how often an epoch teaches tokens [first, last) of each text, (texts,)."""
        _, place = np.unique(self.tokens[:, 1 + first : 1 + last], axis=0, return_inverse=True)
        return np.bincount(place.ravel(), self.copies).astype(np.int64)[place.ravel()]

    def rarest(self) -> Int64:
        """Return how often an epoch teaches the rarest 16 tokens of each suffix, (texts,)."""
        counts = [
            self.counts_of(first, first + WINDOW) for first in range(PREFIX, SEQUENCE - WINDOW + 1)
        ]
        return np.asarray(np.min(counts, axis=0))


_NONE = np.zeros(0, np.int64)
NO_PLANTS = Plants(
    np.zeros((0, ROW_TOKENS), np.int64),
    np.zeros(0, object),
    _NONE,
    _NONE,
    _NONE,
    np.zeros(0, np.bool_),
    _NONE,
    np.zeros(0, np.float64),
)


def scale_of(sample_tokens: int) -> float:
    """Return how many times CLUSTERS are planted for a budget of tokens to train on."""
    return float(min(MOST_SCALE, max(LEAST_SCALE, sample_tokens / UNIT_TOKENS)))


def reserved(known: Catalogue, config: ProxyConfig) -> Int64:
    """Return the documents whose passages are planted; none beside models that were loaded."""
    if config.models:
        return np.zeros(0, np.int64)
    wanted = _needed(scale_of(config.sample_tokens)) * SEQUENCE
    return plant_sources(known, int(wanted * BYTES_PER_TOKEN * SLACK), config.seed)


def planted(
    known: Catalogue, documents: Int64, texts: Mapping[int, Text], config: ProxyConfig
) -> Plants:
    """Return what is planted beside the sample.

    Args:
        known: the documents.
        documents: those that are reserved for it, by number.
        texts: by number of the document.
        config: the settings of the proxies.
    """
    order = by_text(known, documents)
    keys = known.text_key[np.array(order, np.int64)]
    source = passages([texts[number] for number in order], keys, config.seed)
    return plant(source, config.sample_tokens, config.seed)


def passages(texts: Sequence[Text], keys: Uint64, seed: int) -> Int64:
    """Return the distinct passages of some documents in an order by hash, (passages, 65).

    Args:
        texts: the documents.
        keys: the first bytes of their text hashes, (documents,).
        seed: of the hash.
    """
    rows, order = [np.zeros((0, ROW_TOKENS), np.int64)], [np.zeros(0, np.uint64)]
    for text, key in zip(texts, keys, strict=True):
        places = text.starts
        inside = text.encoded.tokens[places[:, None] + np.arange(SEQUENCE)]
        eos = np.full((len(places), 1), text.encoded.eos, np.int64)
        rows.append(np.concatenate((eos, inside), axis=1))
        order.append(keyed_hash(places.astype(np.uint64) ^ key, seed + _PLACE))
    ordered = np.concatenate(rows)[np.argsort(np.concatenate(order), kind="stable")]
    _, first = np.unique(ordered, axis=0, return_index=True)
    return ordered[np.sort(first)]


def plant(source: Int64, sample_tokens: int, seed: int) -> Plants:
    """Return what is planted beside a sample.

    With fewer passages than that takes, the number of clusters is reduced in proportion; the
    highest doses, at which the smallest proxies remember anything, come first.

    Args:
        source: passages to use, each once, (passages, 65).
        sample_tokens: the budget of tokens to train on.
        seed: of the draw.
    """
    scale = scale_of(sample_tokens)
    while scale > LEAST_SCALE / 8 and _needed(scale) > len(source):
        scale *= 0.9
    maker = _Maker(source, np.random.Generator(np.random.PCG64([seed, _DRAW])))
    for dose, clusters in zip(reversed(DOSES), reversed(CLUSTERS), strict=True):
        maker.exact(dose, _times(clusters, scale))
    for share in SHARES:
        maker.fuzzy(share, _times(FUZZY, scale))
    for frame in range(_times(FRAMES, scale)):
        maker.template(in_suffix=frame % 2 == 1)
    return maker.planted()


def beside(learnt: TrainingRows, plants: Plants) -> tuple[Int64, Int64]:
    """Return the rows of the sample and of the plants with their halves, (rows, 65) and (rows,)."""
    rows, half = plants.rows()
    return np.concatenate((learnt.rows, rows)), np.concatenate((learnt.row_half, half))


def about(plants: Plants, rows: Int64) -> dict[str, Any]:
    """Return the facts of what was planted.

    Args:
        plants: what was.
        rows: all that an epoch teaches, plants included, (rows, 65).
    """
    planted = len(plants.rows()[0])
    return {
        "clusters_inside": len(np.unique(plants.cluster[plants.inside])),
        "clusters_outside": len(np.unique(plants.cluster[~plants.inside])),
        "doses": sorted({int(n) for n in plants.copies[plants.inside & (plants.kind == EXACT)]}),
        "sequences": planted,
        "share_of_training": round(planted / len(rows), 4) if len(rows) else 0.0,
    }


def _times(clusters: int, scale: float) -> int:
    return max(1, round(clusters * scale))


def _needed(scale: float) -> int:
    exact = sum(_times(clusters, scale) for clusters in CLUSTERS)
    return 2 * (exact + len(SHARES) * _times(FUZZY, scale)) + _times(FRAMES, scale)


class _Maker:
    """A maker of clusters, each from passages of its own, until there are none left."""

    def __init__(self, source: Int64, random: np.random.Generator) -> None:
        """Start without a text."""
        self.source, self.random = source, random
        self.used = 0
        self.clusters: list[Plants] = []

    def exact(self, dose: int, clusters: int) -> None:
        """Add clusters of one text, `dose` copies of each."""
        for inside, half in self._draw(clusters):
            self._add(EXACT, self._passages(1), np.array([dose]), inside=inside, half=half)

    def fuzzy(self, share: float, clusters: int) -> None:
        """Add clusters of copies of one passage, all but the first with tokens replaced."""
        for inside, half in self._draw(clusters):
            texts = self._passages(COPIES)
            for row in texts[1:]:
                self._replace(row, 1 + self.random.permutation(SEQUENCE), share)
            differ = 1.0 - (1.0 - share) ** 2  # of the tokens of two of them
            worth = 1.0 + (COPIES - 1) * exact_copies(differ)
            once = np.ones(len(texts), np.int64)
            self._add(FUZZY_KIND, texts, once, inside=inside, half=half, worth=worth)

    def template(self, *, in_suffix: bool) -> None:
        """Add a cluster whose texts differ in a few tokens of the prefix, or one of the suffix."""
        copies = np.repeat(np.array(INSTANCES, np.int64), 2)
        texts = self._passages(len(copies))
        slots = 1 + self.random.choice(PREFIX, SLOTS, replace=False)
        if in_suffix:
            slots[0] = 1 + PREFIX + int(self.random.integers(SUFFIX))
        for row in texts:
            self._replace(row, slots, 1.0)
        inside, half = (int(self.random.integers(2)) for _ in range(2))
        self._add(TEMPLATE, texts, copies, inside=bool(inside), half=half)

    def _draw(self, clusters: int) -> list[tuple[bool, int]]:
        """Return which of twice as many clusters get in, in an order by chance, with the half."""
        sides = [(number % 2 == 0, number // 2 % 2) for number in range(2 * clusters)]
        left = min(len(sides), len(self.source) - self.used)
        return [sides[number] for number in self.random.permutation(len(sides))[:left].tolist()]

    def _passages(self, copies: int) -> Int64:
        """Return the next passage, so many times, (copies, 65)."""
        self.used += 1
        return np.repeat(self.source[self.used - 1 : self.used], copies, axis=0)

    def _replace(self, row: Int64, places: Int64, share: float) -> None:
        """Put tokens of the passages, drawn by their frequency, in the first of some places."""
        chosen = places[: max(1, round(share * len(places)))]
        texts, steps = self.random.integers((len(self.source), SEQUENCE), size=(len(chosen), 2)).T
        row[chosen] = self.source[texts, 1 + steps]

    def _add(
        self,
        kind: str,
        texts: Int64,
        copies: Int64,
        *,
        inside: bool,
        half: int,
        worth: float = 0.0,
    ) -> None:
        """Add one cluster."""
        size = len(texts)
        if not size:
            return
        self.clusters.append(
            Plants(
                texts,
                np.full(size, kind, object),
                np.full(size, len(self.clusters), np.int64),
                np.arange(size),
                copies.astype(np.int64),
                np.full(size, inside),
                np.full(size, half, np.int64),
                np.maximum(worth, copies.astype(np.float64)),
            )
        )

    def planted(self) -> Plants:
        """Return all that was added."""
        parts = [NO_PLANTS, *self.clusters]
        names = [one.name for one in fields(Plants)]
        return Plants(*(np.concatenate([getattr(one, name) for one in parts]) for name in names))


def exact_copies(replaced: float) -> float:
    """Return how many exact copies one is worth that differs in a share of its tokens.

    Fitted to the fuzzy canaries of mosaic memory (Shilov et al. 2024), as effective counts are.
    """
    return float(np.exp(-0.113 - 3.50 * replaced))
