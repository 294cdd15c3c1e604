"""Two models on the panel of a run: before and after fine-tuning, unlearning, a filter.

Both get the same prompts: each scored sequence begins at the byte where it began for the run's
proxies, and is cut into 32 tokens of prefix and 32 of suffix by the models' own tokenizer, which
must be one. A suffix is recited exactly when each of its tokens is the model's first choice, which
is what greedy generation gives; nearly when what it generates is within a tenth of its tokens in
edits (Ippolito et al. 2022 judge near copies likewise, by BLEU).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.config.sections import Config, ProxyConfig
from pipeline.engine.progress import current
from pipeline.engine.run_folder import read_run
from pipeline.engine.shards import active_shards
from pipeline.engine.sound import require_sound
from pipeline.engine.tables import read_table
from pipeline.engine.texts import texts_of_rows
from pipeline.errors import ConfigError, InputError
from pipeline.inspect.prompted import (
    OPTION,
    Asked,
    Elicited,
    Prompt,
    elicited,
    read_prompts,
    sequences_of,
    tokens_of,
)
from pipeline.scan.inventory import require_unchanged
from pipeline.score.slices import PREFIX, SEQUENCE, SUFFIX
from pipeline.text.arrays import Flags, Float64, Int64
from pipeline.text.hashing import keyed_hash
from schemas.scan.counts import COUNTS
from schemas.score.sequences import SEQUENCES

if TYPE_CHECKING:
    from pipeline.score.proxy.pretrained import Loaded
    from pipeline.score.proxy.tokenizer import Language

MOST = 2_000  # sequences
UNBOUNDED = 1 << 20  # tokens of a model that names no context
NEARLY = 0.1  # of the suffix's tokens, in edits
COLUMNS = ["row_key", "start_byte", "family", "sequence_count"]
_ORDER = 51


@dataclass(frozen=True)
class Recital:
    """What one model recites of the panel.

    Attributes:
        name: the model's, as it was given.
        exact: whether it recites the suffix of each, (sequences,).
        edits: of what it generates from the suffix, (sequences,); 0 where it is exact.
        log_p: of the suffix given the prefix, in nats, (sequences,).
        elicited: what it says after the prompts of a file, where one was given.
    """

    name: str
    exact: Flags
    edits: Int64
    log_p: Float64
    elicited: Elicited | None = None

    @property
    def nearly(self) -> Flags:
        """Whether what it generates is within a tenth of the suffix, (sequences,)."""
        return np.asarray(self.edits <= NEARLY * SUFFIX)


@dataclass(frozen=True)
class TwoModels:
    """Two models on one panel.

    Attributes:
        panel: row_key, start_byte, source_group, family and sequence_count of each sequence.
        first: what the first recites.
        second: what the second recites.
        left_out: sequences that are shorter than 64 of the models' tokens.
        asked: the prompts of a file, where one was given.
        not_found: of its lines, those whose document has no such sequence in the panel.
    """

    panel: pa.Table
    first: Recital
    second: Recital
    left_out: int
    asked: Asked | None = None
    not_found: int = 0


def two_models(
    folder: Path,
    names: tuple[str, str],
    stale: Collection[str] = (),
    most: int = MOST,
    prompts: Path | None = None,
) -> TwoModels:
    """Return what two models recite of a run's panel.

    Args:
        folder: the run folder; it must be scored.
        names: folders or hub names of the models.
        stale: tables that are older than the last scan.
        most: sequences to ask for, shared out evenly over how often they occur.
        prompts: a file of prompts: the panel is then of the sequences that they are for.

    Raises:
        ConfigError: When the run was not scored, a model cannot be loaded, or their tokenizers
            differ.
        InputError: When a file of the corpus is not the one that was scanned, or the file of
            prompts is not one.
    """
    from pipeline.score.proxy.ensemble import chosen_device
    from pipeline.score.proxy.pool import torch_threads
    from pipeline.score.proxy.pretrained import load_models

    run = read_run(folder)
    tables = run.tables(without=stale)
    if "sequences" not in tables:
        raise ConfigError(
            "There are no sequences to ask the models for.",
            where=str(folder),
            found="the run was not scored, or is out of date",
            fix=f"choose them: rote score {folder}",
        )
    require_sound(run, {"sequences", "counts"})
    require_unchanged(run.manifest)
    config = Config.model_validate(run.manifest["config"])
    language = _language(names)
    every = read_table(tables["sequences"], SEQUENCES, COLUMNS)
    read = [] if prompts is None else read_prompts(prompts)
    given, place = _given(read, every, tables["counts"])
    chosen = _chosen(every, most) if prompts is None else every.take(pa.array(np.unique(place)))
    panel = _with_sources(chosen, tables["counts"])
    texts = dict(
        texts_of_rows(active_shards(run.manifest), config.input, panel["row_key"].to_numpy())
    )
    panel, rows = _cut(panel, texts, language)
    device = chosen_device(config.proxy)
    with torch_threads(config.proxy.threads):
        loaded = [load_models([name], language.size, device)[0] for name in names]
        asked = None
        if prompts is not None:
            given, row = _in_the_panel(given, every.take(pa.array(place)), panel)
            asked = Asked(tokens_of(given, language, _context(loaded)), row)
        first, second = (
            _recital(name, model, rows, language.eos, asked)
            for name, model in zip(names, loaded, strict=True)
        )
    left_out, not_found = len(chosen) - len(panel), len(read) - len(given)
    return TwoModels(panel, first, second, left_out, asked, not_found)


def _given(
    read: Sequence[Prompt], every: pa.Table, counts: Sequence[Path]
) -> tuple[list[Prompt], Int64]:
    """Return the prompts whose document has a scored sequence, and its row, (prompts,)."""
    if not read:
        return [], np.zeros(0, np.int64)
    known = read_table(counts, COUNTS, ["doc_id", "row_key", "representative"])
    place = sequences_of(read, every, known)
    held = place >= 0
    return [one for one, own in zip(read, held, strict=True) if own], place[held]


def _in_the_panel(
    given: Sequence[Prompt], wanted: pa.Table, panel: pa.Table
) -> tuple[list[Prompt], Int64]:
    """Return the prompts whose sequence is long enough in the models' tokens, and its place.

    Raises:
        InputError: When there is none.
    """
    keys = ("row_key", "start_byte")
    place_of = {
        key: place
        for place, key in enumerate(zip(*(panel[name].to_pylist() for name in keys), strict=True))
    }
    sought = zip(*(wanted[name].to_pylist() for name in keys), strict=True)
    pairs = [
        (one, place_of[key]) for one, key in zip(given, sought, strict=True) if key in place_of
    ]
    if not pairs:
        raise InputError(
            "No prompt of the file is for a sequence of this run.",
            where=OPTION,
            expected="ids of documents of 64 tokens or more that were scored",
            fix="take ids from kept/ or removed/",
        )
    return [one for one, _ in pairs], np.array([place for _, place in pairs])


def _context(loaded: Sequence[Loaded]) -> int:
    """Return the tokens that all of some models can read."""
    sizes = [getattr(one.model.config, "max_position_embeddings", None) for one in loaded]
    return min(int(size) for size in (*sizes, UNBOUNDED) if size)


def _language(names: Sequence[str]) -> Language:
    """Return the tokenizer of both models.

    Raises:
        ConfigError: When they have none, or two.
    """
    from pipeline.score.proxy.pretrained import language_of

    found = language_of(ProxyConfig(models=tuple(names)))
    if found is None:
        raise ConfigError("The models have no tokenizer.", where=", ".join(names))
    return found


def _chosen(table: pa.Table, most: int) -> pa.Table:
    """Return at most so many sequences, as many of each power of two of their count, by hash."""
    key = table["row_key"].to_numpy() ^ table["start_byte"].to_numpy().astype(np.uint64)
    order = np.argsort(keyed_hash(key, _ORDER), kind="stable")
    count = np.maximum(table["sequence_count"].to_numpy()[order], 1)
    level = np.floor(np.log2(count)).astype(np.int64)
    turn = np.zeros(len(order), np.int64)
    for number in np.unique(level).tolist():
        turn[level == number] = np.arange(int((level == number).sum()))
    taken = order[np.lexsort((level, turn))][:most]
    return table.take(pa.array(np.sort(taken)))


def _with_sources(chosen: pa.Table, counts: Sequence[Path]) -> pa.Table:
    """Return the sequences with the source group of their documents."""
    known = read_table(counts, COUNTS, ["row_key", "source_group"])
    return chosen.join(known, "row_key").sort_by(
        [("row_key", "ascending"), ("start_byte", "ascending")]
    )


def _cut(panel: pa.Table, texts: dict[int, str], language: Language) -> tuple[pa.Table, Int64]:
    """Return the sequences that hold 64 of the models' tokens, and these after EOS, (rows, 65)."""
    from pipeline.score.proxy.tokenizer import encode

    keys = list(texts)
    encoded = dict(zip(keys, encode(language.tokenizer, [texts[key] for key in keys]), strict=True))
    rows, held = [np.zeros((0, 1 + SEQUENCE), np.int64)], []
    pairs = zip(panel["row_key"].to_pylist(), panel["start_byte"].to_pylist(), strict=True)
    for number, (key, start) in enumerate(pairs):
        one = encoded[key]
        place = int(np.searchsorted(one.starts, start))
        tokens = one.tokens[place : place + SEQUENCE]
        if len(tokens) == SEQUENCE:
            rows.append(np.concatenate(([language.eos], tokens))[None, :])
            held.append(number)
    return panel.take(pa.array(held, pa.int64())), np.concatenate(rows)


def _recital(
    name: str, model: Loaded, rows: Int64, eos: int, asked: Asked | None = None
) -> Recital:
    """Return what one model recites: all suffixes scored, and those not exact generated."""
    from pipeline.score.probes.generation import generate
    from pipeline.score.probes.panel import ProbedModel
    from pipeline.score.proxy.statistics import ProxyScorer
    from pipeline.score.signals.approximate import edit_distance

    current().message(f"{name}: {len(rows):,} sequences")
    found: dict[str, Any] = ProxyScorer(model, model.device).score(rows)
    exact = np.asarray(found["memorized"], np.bool_)
    subject = ProbedModel(name, "loaded", model, model.device, eos, np.zeros(len(rows), np.int64))
    edits = np.zeros(len(rows), np.int64)
    others = np.flatnonzero(~exact)
    generated = generate(subject, rows[others, : 1 + PREFIX], SUFFIX)
    true = rows[others, 1 + PREFIX :]
    edits[others] = [
        edit_distance(one.tolist(), other.tolist())
        for one, other in zip(generated, true, strict=True)
    ]
    said = None if asked is None else elicited(subject, asked, rows, exact)
    return Recital(name, exact, edits, np.asarray(found["log_p_z"], np.float64), said)
