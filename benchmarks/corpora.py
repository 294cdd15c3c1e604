"""Make a corpus of any size out of real text, with copies planted at known rates.

usage: python benchmarks/corpora.py REAL OUT --mb 3000 [--families constant|growing] [--seed 1]

REAL is a folder of Parquet shards with a column text, perhaps source. It is gone through as often
as the size asks for; each time is a *pass*. A document is a row of units: a separator and the word
after it, the last one a separator alone.

constant: a pass keeps the separators, lengths and kinds of words of the real documents, and each
real word as often as it occurs, but cuts the text into runs of 1 to 4 words and deals them anew:
within words of one kind (lower case, capitalised, number, other ASCII, one CJK character, the rest)
of one source. So two passes share no text, and the frequencies stay. Real text goes on bringing new
words: pass b respells as many rare ones as Heaps' law, fitted to the real text, says. On that, 6%
of the documents get one exact copy, 8% (of 20 words or more) one to three near copies, each by one
kind of edit at one rate, and 10% (if long enough) are in groups of 2 to 6 that share a passage of
60 to 120 words. Copies, and the documents a passage was put into, come out at a random later place
of the corpus. What is not kept: grammar beyond four words, and so how well text compresses.

growing: each pass is the real documents once more, all but the first pass lightly edited, so that
families grow with the corpus.

Beside OUT, in OUT.planted, are planted.parquet (kind, id_a, id_b, edit, rate, words; the exact
Jaccard, by tests/reference.py, of up to 500 near pairs) and corpus.json. Same REAL, size and seed:
the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

EXACT = 0.06  # share of documents with one exact copy
NEAR = 0.08  # with near copies: one to three
PASSAGE = 0.1  # in a group that shares a passage
GROUP = (2, 6)  # documents in such a group
PASSAGE_WORDS = (60, 120)
NEAR_WORDS = 20  # a document of fewer is not edited
RUN_WORDS = 4  # at most, so that no shingle is one run
RARE = 8  # a word that occurs at most so often may be respelled
SMALL_SOURCE = 0.01  # sources with a smaller share of the text share their words
GROWTH = 1 + EXACT + 2 * NEAR + 0.01  # text written for text of a pass
EDITS = ("none", "insert", "delete", "substitute", "append")
RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
LIGHT_RATES = (0.005, 0.01, 0.02)  # of growing families
SHARD_BYTES = 64_000_000
JACCARDS = 500
KINDS = (  # of words, first match; those of a kind may take each other's place
    r"^$",
    r"^[a-z]+$",
    r"^[A-Z][a-z]*$",
    r"^[0-9]+$",
    r"^[\x21-\x7e]+$",
    r"^[\x{2e80}-\x{a4cf}\x{f900}-\x{faff}\x{ff66}-\x{ff9f}\x{1b000}-\x{323af}]$",
    r"",
)
CJK = 5
LETTERS = str.maketrans("0123456789ABCDEF", "bcdfghjklmnprstv")
PLANTED = pa.schema(
    [
        ("kind", pa.string()),
        ("id_a", pa.string()),
        ("id_b", pa.string()),
        ("edit", pa.string()),
        ("rate", pa.float64()),
        ("words", pa.int64()),
        ("jaccard", pa.float64()),
    ]
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """Return start, start + 1, ... of each range, one range after the other."""
    ends = np.cumsum(lengths)
    every: Ints = np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)
    return every


@dataclass(frozen=True)
class Batch:
    """Documents as units: numbers of strings among `pieces`.

    classes: the words that may take a word's place. lengths: units of each document, its end
    included. documents: which real document each one is made of.
    """

    pieces: pa.LargeStringArray
    separators: npt.NDArray[np.int32]
    words: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int16]
    lengths: Ints
    documents: Ints

    @property
    def firsts(self) -> Ints:
        """The first unit of each document."""
        return np.cumsum(self.lengths) - self.lengths

    def take(self, places: Ints) -> Batch:
        """Return the documents at `places`."""
        starts, lengths = self.firsts[places, None], self.lengths[places, None]
        return self.joined(starts, lengths, self.documents[places])

    def joined(self, starts: Ints, lengths: Ints, documents: Ints) -> Batch:
        """Return documents made of ranges of units, a row of ranges for each."""
        units = ranges(starts.ravel(), lengths.ravel())
        return replace(
            self,
            separators=self.separators[units],
            words=self.words[units],
            classes=self.classes[units],
            lengths=lengths.sum(axis=1),
            documents=documents,
        )

    def texts(self) -> pa.LargeStringArray:
        """Return the text of each document."""
        both = np.stack([self.separators, self.words], axis=1).ravel()
        strings = self.pieces.take(pa.array(both))
        inner = np.frombuffer(strings.buffers()[1], np.int64)[: both.size + 1]
        offsets = inner[np.append(0, 2 * np.cumsum(self.lengths))]
        return pa.LargeStringArray.from_buffers(
            len(self.lengths), pa.py_buffer(offsets), strings.buffers()[2]
        )


@dataclass(frozen=True)
class Material:
    """The real documents.

    order: units by class; first, size: where each class begins there and how many it has;
    vocabulary: distinct words; heaps: exponent of their growth with the text; rare: pieces that may
    be respelled, in random order.
    """

    real: Batch
    sources: pa.StringArray
    sizes: Ints
    order: Ints
    first: Ints
    size: Ints
    vocabulary: int
    heaps: float
    rare: Ints

    def some(self, classes: npt.NDArray[np.int16], rng: np.random.Generator) -> Ints:
        """Return a random word of each of these classes, each as likely as it is frequent."""
        within = (rng.random(classes.size) * self.size[classes]).astype(np.int64)
        words: Ints = self.real.words[self.order[self.first[classes] + within]]
        return words


def material(folder: Path, seed: int) -> Material:
    """Read the real documents, take them apart and sort their words into classes."""
    texts, sources = read(folder)
    pieces, units, lengths = taken_apart(texts, seed)
    sizes = np.diff(np.frombuffer(texts.buffers()[1], np.int64)[: len(texts) + 1])
    names, group = grouped(sources, sizes)
    kinds = kinds_of(pieces)
    words = units[:, 1]
    classes = (kinds[words] + len(KINDS) * np.repeat(group, lengths)).astype(np.int16)
    size = np.bincount(classes)
    rng = np.random.default_rng(seed)
    documents = np.arange(len(texts))
    half = np.repeat(rng.permutation(documents.size) % 2 == 0, lengths)
    counts = np.bincount(words, minlength=len(pieces))
    vocabulary = int(np.count_nonzero(counts))
    may = (counts > 0) & (counts <= RARE) & (kinds != CJK) & (kinds != 0)
    return Material(
        real=Batch(pieces, units[:, 0].copy(), words.copy(), classes, lengths, documents),
        sources=names.take(pa.array(group)),
        sizes=sizes,
        order=np.argsort(classes, kind="stable"),
        first=np.cumsum(size) - size,
        size=size,
        vocabulary=vocabulary,
        heaps=float(np.log2(vocabulary / np.unique(words[half]).size)),
        rare=rng.permutation(np.flatnonzero(may)),
    )


def read(folder: Path) -> tuple[pa.LargeStringArray, pa.StringArray]:
    """Return text and first part of the source of each document; without one, the file's name.

    What `rote sample` planted is left out: it is not real.
    """
    texts, sources = [], []
    for path in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(path)
        if "text" not in table.column_names:
            continue
        source = table["source"] if "source" in table.column_names else pa.nulls(table.num_rows)
        parts = pc.split_pattern(pc.fill_null(source.cast(pa.string()), path.stem), "/")
        table = table.append_column("group", pc.list_element(parts, 0))
        full = pc.greater(pc.binary_length(table["text"]), 0)
        table = table.filter(pc.and_(full, pc.not_equal(table["group"], "planted")))
        texts += table["text"].cast(pa.large_string()).chunks
        sources += table["group"].chunks
    if not texts:
        raise SystemExit(f"no Parquet file with a column text and rows: {folder}")
    return pa.concat_arrays(texts), pa.concat_arrays(sources)


def taken_apart(
    texts: pa.LargeStringArray, seed: int
) -> tuple[pa.LargeStringArray, npt.NDArray[np.int32], Ints]:
    """Return the distinct strings, (separator, word) of each unit, and units of each document."""
    from pipeline.text import segmentation as text

    found = text.words(texts, seed)
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[: len(texts) + 1]
    counts = np.diff(found.offsets)
    base = np.repeat(offsets[:-1], counts)
    cuts = np.empty((base.size + counts.size, 2), np.int64)
    end = np.zeros(len(cuts), bool)
    end[np.cumsum(counts + 1) - 1] = True
    cuts[end] = offsets[1:, None]
    cuts[~end] = np.stack([base + found.starts, base + found.ends], axis=1)
    bounds = np.append(offsets[0], cuts.ravel())
    strings = pa.LargeStringArray.from_buffers(cuts.size, pa.py_buffer(bounds), texts.buffers()[2])
    coded = pa.concat_arrays([strings, pa.array([" ", ""], pa.large_string())]).dictionary_encode()
    units = coded.indices.to_numpy()[: cuts.size].reshape(-1, 2)
    return coded.dictionary, units, counts + 1


def grouped(sources: pa.StringArray, sizes: Ints) -> tuple[pa.StringArray, Ints]:
    """Return names of the sources and the place of each document's; small ones are together."""
    coded = sources.dictionary_encode()
    places = coded.indices.to_numpy()
    share = np.bincount(places, weights=sizes) / sizes.sum()
    large = np.flatnonzero(share >= SMALL_SOURCE)
    renumbered = np.full(share.size, large.size)
    renumbered[large] = np.arange(large.size)
    names = [*coded.dictionary.take(pa.array(large)).to_pylist(), "small-sources"]
    return pa.array(names), renumbered[places]


def kinds_of(pieces: pa.LargeStringArray) -> Ints:
    """Return the place of the first of KINDS that each string is of."""
    found = np.full(len(pieces), -1)
    for place, pattern in enumerate(KINDS):
        hit = pc.match_substring_regex(pieces, pattern).to_numpy(zero_copy_only=False)
        found[hit & (found < 0)] = place
    return found


def dealt(real: Material, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Return the real words in new places of their class, in runs of at most RUN_WORDS."""
    count = real.order.size
    cuts = np.cumsum(rng.integers(1, RUN_WORDS + 1, 2 * count // RUN_WORDS + RUN_WORDS))
    is_start = np.zeros(count, bool)
    is_start[cuts[cuts < count]] = True
    is_start[real.first[real.size > 0]] = True
    is_start[0] = True
    starts = np.flatnonzero(is_start)
    lengths = np.diff(np.append(starts, count))
    shuffled = rng.permutation(starts.size)
    classes = real.real.classes[real.order[starts[shuffled]]]
    shuffled = shuffled[np.argsort(classes, kind="stable")]
    words = np.empty(count, np.int32)
    words[real.order] = real.real.words[real.order[ranges(starts[shuffled], lengths[shuffled])]]
    return words


def respelled(real: Material, number: int, rng: np.random.Generator) -> pa.LargeStringArray:
    """Return the pieces of a pass: some rare words get an ending that no other pass gives.

    As many as Heaps' law asks for: n passes have V(1) n^heaps distinct words.
    """
    pieces = real.real.pieces
    if not number:
        return pieces
    new = int(real.vocabulary * ((number + 1) ** real.heaps - number**real.heaps))
    chosen = np.sort(rng.choice(real.rare, min(new, real.rare.size), replace=False))
    old = pieces.take(pa.array(chosen)).cast(pa.string())
    vowels = pa.array(list("aeiou")).take(pa.array(rng.integers(0, 5, chosen.size)))
    letters = np.base_repr(number, 16).translate(LETTERS)
    endings = pc.binary_join_element_wise(vowels, letters, "")
    numbers = pc.match_substring_regex(old, KINDS[3])
    spelt = pc.binary_join_element_wise(old, pc.if_else(numbers, str(number), endings), "")
    mask = np.zeros(len(pieces), bool)
    mask[chosen] = True
    return pc.replace_with_mask(pieces, pa.array(mask), spelt.cast(pa.large_string()))


@dataclass(frozen=True)
class Pass:
    """What one pass makes: rows of the corpus, which of them come out later, and planted pairs."""

    rows: pa.Table
    later: npt.NDArray[np.bool_]
    planted: pa.Table


def constant(real: Material, number: int, documents: Ints, rng: np.random.Generator) -> Pass:
    """Return new texts in the shape of these real documents, with families planted on them."""
    pieces = respelled(real, number, rng)
    fresh = replace(real.real, pieces=pieces, words=dealt(real, rng)).take(documents)
    shares = np.cumsum([EXACT, NEAR, PASSAGE]) * documents.size
    exact, near, holders, _ = np.split(rng.permutation(documents.size), shares.astype(np.int64))
    groups = grouped_holders(fresh, holders, rng)
    batch, names = spliced(fresh, groups), named(number, documents)
    originals = names.take(pa.array(exact))
    twins = pc.binary_join_element_wise(originals, "/copy", "")
    copies, near_pairs = near_copies(real, batch, names, near, rng)
    copied = near_pairs["id_b"].combine_chunks()
    parts = [
        rows(real, batch, names),
        rows(real, batch.take(exact), twins),
        rows(real, copies, copied),
    ]
    later = np.arange(sum(part.num_rows for part in parts)) >= documents.size
    later[groups.hosts] = True
    donors, hosts = (names.take(pa.array(ids)) for ids in (groups.donors, groups.hosts))
    passages = pairs("passage", donors, hosts, words=groups.words)
    planted = [pairs("exact", originals, twins), near_pairs, passages]
    return Pass(pa.concat_tables(parts), later, pa.concat_tables(planted))


def near_copies(
    real: Material, batch: Batch, names: pa.StringArray, near: Ints, rng: np.random.Generator
) -> tuple[Batch, pa.Table]:
    """Return one to three edited copies of each document at `near`, and the planted pairs."""
    near = near[batch.lengths[near] > NEAR_WORDS]
    times = rng.integers(1, 4, near.size)
    bases = np.repeat(near, times)
    edits = rng.integers(1, len(EDITS), bases.size)
    rates = rng.choice(RATES, bases.size)
    copies = edited(real, batch.take(bases), edits, rates, rng)
    originals = names.take(pa.array(bases))
    suffix = pa.array([f"/near-{n}" for n in ranges(np.ones_like(times), times)])
    copied = pc.binary_join_element_wise(originals, suffix, "")
    return copies, pairs("near", originals, copied, edits=edits, rates=rates)


def growing(real: Material, number: int, documents: Ints, rng: np.random.Generator) -> Pass:
    """Return the real documents; after the first pass two in three have a few words edited."""
    batch = real.real.take(documents)
    edits = rng.integers(1, len(EDITS), documents.size)
    still = (rng.random(documents.size) < 1 / 3) | (batch.lengths <= NEAR_WORDS)
    edits[still | (number == 0)] = 0
    rates = rng.choice(LIGHT_RATES, documents.size)
    batch = edited(real, batch, edits, rates, rng)
    names = named(number, documents)
    kinds = pc.if_else(pa.array(edits == 0), "exact", "near")
    planted = pairs(kinds, named(0, documents), names, edits=edits, rates=rates)
    return Pass(
        rows(real, batch, names),
        np.zeros(documents.size, bool),
        planted if number else planted.slice(0, 0),
    )


@dataclass(frozen=True)
class Groups:
    """Documents that share a passage: hosts[i] gets words[i] units of donors[i].

    They begin at unit `start[i]` of the donor and are put before unit `place[i]` of the host.
    """

    donors: Ints
    hosts: Ints
    words: Ints
    start: Ints
    place: Ints


def grouped_holders(batch: Batch, holders: Ints, rng: np.random.Generator) -> Groups:
    """Put documents long enough for it into groups; the first of each gives a passage."""
    holders = holders[batch.lengths[holders] > PASSAGE_WORDS[1] + 2]
    sizes = rng.integers(GROUP[0], GROUP[1] + 1, holders.size)
    sizes = sizes[np.cumsum(sizes) <= holders.size]
    group = np.repeat(np.arange(sizes.size), sizes)
    holders = holders[: group.size]
    is_donor = np.diff(group, prepend=-1) > 0
    group = group[~is_donor]
    donors = holders[is_donor]
    words = rng.integers(PASSAGE_WORDS[0], PASSAGE_WORDS[1] + 1, donors.size)
    # a first unit has no separator, a last one no word
    start = 1 + (rng.random(donors.size) * (batch.lengths[donors] - words - 1)).astype(np.int64)
    hosts = holders[~is_donor]
    place = 1 + (rng.random(hosts.size) * (batch.lengths[hosts] - 2)).astype(np.int64)
    return Groups(donors[group], hosts, words[group], start[group], place)


def spliced(batch: Batch, groups: Groups) -> Batch:
    """Return the documents with the shared passages put into the hosts."""
    starts = np.stack([batch.firsts] * 3, axis=1)
    lengths = np.zeros((batch.lengths.size, 3), np.int64)
    lengths[:, 0] = batch.lengths
    lengths[groups.hosts, 0] = groups.place
    starts[groups.hosts, 1] = batch.firsts[groups.donors] + groups.start
    lengths[groups.hosts, 1] = groups.words
    starts[groups.hosts, 2] += groups.place
    lengths[groups.hosts, 2] = batch.lengths[groups.hosts] - groups.place
    return batch.joined(starts, lengths, batch.documents)


def edited(
    real: Material, batch: Batch, edits: Ints, rates: Floats, rng: np.random.Generator
) -> Batch:
    """Return the documents with words inserted, deleted, substituted or appended, at least one.

    New words are of the class of the word whose place they take or that they come before.
    """
    edit, last = np.repeat(edits, batch.lengths), np.cumsum(batch.lengths) - 1
    hit = hits(batch, rates, rng)
    times = np.ones(edit.size, np.int64)
    times[hit & (edit == EDITS.index("insert"))] = 2
    times[hit & (edit == EDITS.index("delete"))] = 0
    appended = np.maximum(1, np.rint(rates * (batch.lengths - 1))).astype(np.int64)
    times[last] += np.where(edits == EDITS.index("append"), appended, 0)
    units = np.repeat(np.arange(edit.size), times)
    added = np.append(units[1:] == units[:-1], False)  # what is added comes before the unit
    new = added | (hit & (edit == EDITS.index("substitute")))[units]
    is_end = np.zeros(edit.size, bool)
    is_end[last] = True
    like = batch.classes[(units - is_end[units])[new]]
    words, separators, classes = batch.words[units], batch.separators[units], batch.classes[units]
    words[new], classes[new] = real.some(like, rng), like
    space, none = (pc.index(batch.pieces, value).as_py() for value in (" ", ""))
    separators[added] = np.where(classes[added] % len(KINDS) == CJK, none, space)
    lengths = np.add.reduceat(times, batch.firsts)
    return Batch(batch.pieces, separators, words, classes, lengths, batch.documents)


def hits(batch: Batch, rates: Floats, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return which units are hit, each with its document's rate, but never the first and last."""
    last = np.cumsum(batch.lengths) - 1
    hit: npt.NDArray[np.bool_] = rng.random(last[-1] + 1) < np.repeat(rates, batch.lengths)
    inner = np.maximum(batch.lengths - 2, 1)
    one = batch.firsts + 1 + (rng.random(inner.size) * inner).astype(np.int64)
    hit[np.minimum(one, last)] = True
    hit[batch.firsts] = hit[last] = False
    return hit


def named(number: int, documents: Ints) -> pa.StringArray:
    """Return an id for each document of a pass."""
    digits = pc.utf8_lpad(pa.array(documents).cast(pa.string()), 6, "0")
    return pc.binary_join_element_wise(f"{number:04d}", digits, "-")


def rows(real: Material, batch: Batch, names: pa.StringArray) -> pa.Table:
    """Return documents as rows of the corpus."""
    sources = real.sources.take(pa.array(batch.documents))
    return pa.table({"id": names, "text": batch.texts(), "source": sources})


def pairs(
    kind: str | pa.StringArray,
    left: pa.StringArray,
    right: pa.StringArray,
    *,
    edits: Ints | None = None,
    rates: Floats | None = None,
    words: Ints | None = None,
) -> pa.Table:
    """Return rows of planted.parquet; the Jaccard comes later."""
    count = len(left)
    edit = np.array(EDITS)[edits] if edits is not None else pa.nulls(count, pa.string())
    columns = {
        "kind": pa.array([kind] * count) if isinstance(kind, str) else kind,
        "id_a": left,
        "id_b": right,
        "edit": pa.array(edit),
        "rate": pa.nulls(count, pa.float64()) if rates is None else pa.array(rates),
        "words": pa.nulls(count, pa.int64()) if words is None else pa.array(words),
        "jaccard": pa.nulls(count, pa.float64()),
    }
    return pa.table(columns, schema=PLANTED)


def passes(real: Material, target: float, rng: np.random.Generator) -> Iterator[Ints]:
    """Yield the real documents of each pass in random order, `target` bytes of text in all."""
    while target > 0:
        documents = rng.permutation(real.sizes.size)
        sizes = np.cumsum(real.sizes[documents])
        yield np.sort(documents[: np.searchsorted(sizes, target) + 1])
        target -= sizes[-1]


@dataclass
class Shards:
    """Writes rows to files of SHARD_BYTES of text."""

    folder: Path
    waiting: list[pa.Table] = field(default_factory=list)
    bytes: int = 0
    files: int = 0
    documents: int = 0
    text_bytes: int = 0

    def add(self, table: pa.Table) -> None:
        """Take rows, and write the files that are full."""
        self.waiting.append(table)
        self.bytes += pc.sum(pc.binary_length(table["text"])).as_py()
        while self.bytes >= SHARD_BYTES:
            rows = pa.concat_tables(self.waiting)
            sizes = np.cumsum(pc.binary_length(rows["text"]).to_numpy())
            cut = int(np.searchsorted(sizes, SHARD_BYTES)) + 1
            self.write(rows.slice(0, cut), int(sizes[cut - 1]))
            self.waiting = [rows.slice(cut)]

    def write(self, rows: pa.Table, text_bytes: int) -> None:
        """Write one file."""
        text = rows["text"].cast(pa.string())
        path = self.folder / f"part-{self.files:05d}.parquet"
        rows = rows.set_column(rows.schema.get_field_index("text"), "text", text)
        pq.write_table(rows, path, compression="zstd", row_group_size=1024)
        self.files += 1
        self.documents += rows.num_rows
        self.text_bytes += text_bytes
        self.bytes -= text_bytes

    def close(self) -> None:
        """Write what is left."""
        if self.bytes:
            self.write(pa.concat_tables(self.waiting), self.bytes)


def write(real: Material, out: Path, megabytes: float, families: str, seed: int) -> dict[str, Any]:
    """Write the corpus and what was planted; return what corpus.json says."""
    beside = out.with_name(f"{out.name}.planted")
    beside.mkdir(parents=True)
    out.mkdir()
    rng = np.random.default_rng(seed)
    shards = Shards(out)
    planted = proved(
        out, pa.concat_tables(emitted(real, megabytes * 1e6, families, shards, rng)), rng
    )
    pq.write_table(planted, beside / "planted.parquet", compression="zstd")
    facts = {
        "families": families,
        "megabytes": megabytes,
        "seed": seed,
        "text_bytes": shards.text_bytes,
        "documents": shards.documents,
        "files": shards.files,
        "heaps": real.heaps,
        "planted": dict(zip(*np.unique(planted["kind"], return_counts=True), strict=True)),
    }
    (beside / "corpus.json").write_text(json.dumps(facts, indent=1, default=int) + "\n")
    return facts


def emitted(
    real: Material, target: float, families: str, shards: Shards, rng: np.random.Generator
) -> list[pa.Table]:
    """Write the rows of every pass to the shards, some of them later; return what was planted."""
    make, growth = {"constant": (constant, GROWTH), "growing": (growing, 1.0)}[families]
    every = list(passes(real, target / growth, rng))
    waiting: list[list[pa.Table]] = [[] for _ in every]
    planted = []
    for number, documents in enumerate(every):
        made = make(real, number, documents, rng)
        planted.append(made.planted)
        due = np.where(made.later, rng.integers(number, len(every), made.later.size), number)
        for place in np.unique(due):
            waiting[place].append(made.rows.filter(pa.array(due == place)))
        rows = pa.concat_tables(waiting[number])
        waiting[number] = []
        shards.add(rows.take(pa.array(rng.permutation(rows.num_rows))))
    shards.close()
    return planted


def proved(out: Path, planted: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Return the planted pairs with the exact Jaccard of some near ones."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests import reference

    near = np.flatnonzero(planted["kind"].to_numpy() == "near")
    chosen = np.sort(rng.permutation(near)[:JACCARDS])
    sample = planted.take(pa.array(chosen))
    wanted = pa.concat_arrays([sample[name].combine_chunks() for name in ("id_a", "id_b")])
    held = pq.read_table(out, columns=["id", "text"], filters=pc.field("id").isin(wanted))
    texts = dict(zip(held["id"].to_pylist(), held["text"].to_pylist(), strict=True))
    values = np.full(planted.num_rows, np.nan)
    for place, pair in zip(chosen, sample.to_pylist(), strict=True):
        shared, either = reference.jaccard(texts[pair["id_a"]], texts[pair["id_b"]])
        values[place] = shared / either
    column = PLANTED.get_field_index("jaccard")
    return planted.set_column(column, "jaccard", pa.array(values, mask=np.isnan(values)))


def main() -> None:
    """Read the arguments, make the corpus, say what it holds."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("real", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--mb", type=float, required=True)
    arguments.add_argument("--families", choices=("constant", "growing"), default="constant")
    arguments.add_argument("--seed", type=int, default=1)
    asked = arguments.parse_args()
    begun = time.perf_counter()
    facts = write(material(asked.real, asked.seed), asked.out, asked.mb, asked.families, asked.seed)
    seconds = time.perf_counter() - begun
    print(json.dumps(facts, default=int))
    print(f"{seconds:.1f} s, {facts['text_bytes'] / 1e6 / seconds:.1f} MB/s")


if __name__ == "__main__":
    main()
