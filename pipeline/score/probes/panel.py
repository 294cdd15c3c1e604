"""The input of probes: which sequences are probed, their tokens, and the proxies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.engine.stage import Work
from pipeline.engine.tables import read_table
from pipeline.errors import InputError
from pipeline.score.probes.doses import WHOLE, levels
from pipeline.score.sequences.catalogue import COLUMNS, Catalogue, catalogue
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.score.sequences.training_rows import Text, read_texts, token_rows, tokenized
from pipeline.text.arrays import Int64, Uint64
from pipeline.text.hashing import keyed_hash
from pipeline.text.stored_tokenizer import read_tokenizer
from schemas.scan.counts import COUNTS
from schemas.score.sequences import SEQUENCES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from pipeline.score.proxy.readable import Readable

_ORDER = 21


@dataclass(frozen=True)
class ProbedModel:
    """A proxy that is probed.

    Attributes:
        name: of the proxy.
        role: see `pipeline.score.proxy.ensemble.Proxy`.
        model: its weights.
        device: where they are.
        eos: number of the token that a sequence is scored after.
        seen: times that it was trained on each sequence of the table, (sequences,); where that is
            not known, times that the sequence occurs in the corpus.
        known: whether it is known what it was trained on.
    """

    name: str
    role: str
    model: Readable
    device: str
    eos: int
    seen: Int64
    known: bool = True


@dataclass(frozen=True)
class Probed:
    """The panel: sequences in the order of choice, which goes round the levels of dose.

    Attributes:
        place: row of `sequences`, (rows,).
        row_key: of the document, (rows,).
        start_token: first token in the document, (rows,).
        family: number of the document's family, (rows,).
        tokens: EOS and the sequence, (rows, 65).
    """

    place: Int64
    row_key: Uint64
    start_token: Int64
    family: Int64
    tokens: Int64  # (rows, 65)


@dataclass(frozen=True)
class ProbeInput:
    """All that probes read of a run.

    Attributes:
        table: the scored sequences.
        known: the documents.
        tokenizer: of the run.
        subjects: the proxies that are probed, smallest first, then the pair; or loaded models.
    """

    table: pa.Table
    known: Catalogue
    tokenizer: Tokenizer
    subjects: tuple[ProbedModel, ...]

    @property
    def top(self) -> ProbedModel:
        """The largest proxy of those that saw the whole sample, or the largest loaded model."""
        return [subject for subject in self.subjects if subject.role in WHOLE][-1]


def probe_input(work: Work) -> ProbeInput | None:
    """Load what probes need; None when there is no proxy, or nothing was scored.

    Raises:
        InputError: When a loaded model is not the one that was scored.
    """
    from pipeline.score.proxy.ensemble import chosen_device

    paths = {path.relative_to(work.folder).as_posix(): path for path in work.paths("models")}
    facts = json.loads(paths["models/proxies.json"].read_bytes())
    named = [one for one in facts["proxies"] if one["role"] != "early"]
    if work.config.probes.models == "largest":
        named = [entry for entry in named if entry["role"] in WHOLE][-1:]
    table = read_table(work.paths("sequences"), SEQUENCES)
    if not any(entry["role"] in WHOLE for entry in named) or not table.num_rows:
        return None
    device = chosen_device(work.config.proxy)
    if work.config.proxy.models:
        eos = int(facts["tokenizer"]["end_of_text"])
        subjects = _loaded(named, table, device, eos)
        stored = paths["models/tokenizer/tokenizer.json"]
    else:
        subjects = [_subject(entry, paths, table, device) for entry in named]
        stored = paths[f"models/{named[-1]['proxy']}/tokenizer.json"]
    tokenizer = read_tokenizer(stored, "the run's own models")
    known = catalogue(read_table(work.paths("counts"), COUNTS, list(COLUMNS)))
    return ProbeInput(table, known, tokenizer, tuple(subjects))


def choose(of: ProbeInput, count: int, seed: int) -> Int64:
    """Return rows of `sequences` in turns by the largest proxy's dose, a power of two each.

    Within a level first one sequence of each family, in the order of a hash of its text and place.

    Args:
        of: what was read.
        count: rows to choose.
        seed: of the hash.
    """
    documents = np.searchsorted(of.known.row_key, of.table["row_key"].to_numpy())
    starts = of.table["start_token"].to_numpy().astype(np.uint64)
    key = keyed_hash(of.known.text_key[documents] ^ keyed_hash(starts, seed), seed + _ORDER)
    order = np.argsort(key, kind="stable")
    level = levels(of.top.seen)[order]
    turn = _rank(of.known.family[documents][order] * 64 + level)
    order, level = (part[np.argsort(turn, kind="stable")] for part in (order, level))
    return np.asarray(order[np.lexsort((level, _rank(level)))][:count])


def read_panel(work: Work, of: ProbeInput, count: int) -> Probed:
    """Choose the panel and read its texts."""
    place = choose(of, count, work.config.proxy.seed)
    keys = of.table["row_key"].to_numpy()[place]
    starts = of.table["start_token"].to_numpy()[place]
    documents = np.searchsorted(of.known.row_key, keys)
    texts = read_tokens(work, of, np.unique(documents))
    rows = [
        token_rows(texts[number], np.array([start]))
        for number, start in zip(documents.tolist(), starts.tolist(), strict=True)
    ]
    tokens = np.concatenate(rows)
    tokens[:, 0] = of.top.eos
    return Probed(place, keys, starts, of.known.family[documents], tokens)


def read_tokens(work: Work, of: ProbeInput, documents: Int64) -> dict[int, Text]:
    """Return texts with their tokens, by number of the document."""
    return tokenized(of.tokenizer, read_texts(work, of.known, documents))


def _rank(group: Int64) -> Int64:
    """Return the place of each row among the rows of its group, (rows,)."""
    order = np.argsort(group, kind="stable")
    _, first, sizes = np.unique(group[order], return_index=True, return_counts=True)
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(first, sizes)
    return rank


def _loaded(
    named: list[dict[str, Any]], table: pa.Table, device: str, eos: int
) -> list[ProbedModel]:
    """Load models from elsewhere again, smallest first.

    Raises:
        InputError: When one is not that which was scored.
    """
    from pipeline.score.proxy.pretrained import load_models

    found = []
    for entry, model in zip(
        named, load_models([one["source"] for one in named], 0, device), strict=True
    ):
        if model.digest != entry["digest"]:
            raise InputError(
                "A loaded model is not the one that was scored.",
                where=f"proxy.models: {model.name}",
                found=f"digest {model.digest[:12]}",
                expected=f"digest {entry['digest'][:12]}",
                fix="score the run anew: rote score RUN",
            )
        known = entry["role"] == "ladder"
        seen = _seen(table, entry["proxy"]) if known else table["sequence_count"].to_numpy()
        found.append(ProbedModel(entry["proxy"], entry["role"], model, device, eos, seen, known))
    return found


def _seen(table: pa.Table, name: str) -> Int64:
    """Return how often a proxy was trained on each sequence, (sequences,)."""
    return np.nan_to_num(proxy_statistics(table, name, ("seen",))["seen"]).astype(np.int64)


def _subject(
    entry: dict[str, Any], paths: dict[str, Path], table: pa.Table, device: str
) -> ProbedModel:
    """Load a proxy of the run folder."""
    from pipeline.score.proxy.model import Shape, from_safetensors

    name = entry["proxy"]
    config: dict[str, Any] = json.loads(paths[f"models/{name}/config.json"].read_bytes())
    shape = Shape(config["vocab_size"], config["num_hidden_layers"], config["hidden_size"])
    model = from_safetensors(shape, paths[f"models/{name}/model.safetensors"].read_bytes())
    eos = int(config["eos_token_id"])
    model = model.to(device).eval()
    return ProbedModel(name, entry["role"], model, device, eos, _seen(table, name))
