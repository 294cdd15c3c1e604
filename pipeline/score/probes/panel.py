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

    from pipeline.score.proxy.model import Transformer

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
        seen: times that it was trained on each sequence of the table, (sequences,).
    """

    name: str
    role: str
    model: Transformer
    device: str
    eos: int
    seen: Int64


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
        subjects: the proxies that are probed, smallest first, then the pair.
    """

    table: pa.Table
    known: Catalogue
    tokenizer: Tokenizer
    subjects: tuple[ProbedModel, ...]

    @property
    def top(self) -> ProbedModel:
        """The largest proxy of those that saw the whole sample."""
        return [subject for subject in self.subjects if subject.role == "ladder"][-1]


def probe_input(work: Work) -> ProbeInput | None:
    """Load what probes need; None when no proxy was trained here, or nothing was scored.

    Proxies that were loaded from elsewhere are not probed.
    """
    from pipeline.score.proxy.ensemble import chosen_device

    paths = {path.relative_to(work.folder).as_posix(): path for path in work.paths("models")}
    about = json.loads(paths["models/proxies.json"].read_bytes())["proxies"]
    named = [entry for entry in about if _trained_here(entry["proxy"], paths)]
    if work.config.probes.models == "largest":
        named = [entry for entry in named if entry["role"] == "ladder"][-1:]
    table = read_table(work.paths("sequences"), SEQUENCES)
    if not any(entry["role"] == "ladder" for entry in named) or not table.num_rows:
        return None
    device = chosen_device(work.config.proxy)
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


def levels(seen: Int64) -> Int64:
    """Return 0 for what was never seen, else 1 + floor(log2 of the times), (rows,)."""
    return np.where(seen > 0, 1 + np.floor(np.log2(np.maximum(seen, 1))), 0).astype(np.int64)


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


def _trained_here(name: str, paths: dict[str, Path]) -> bool:
    """Tell whether a proxy is in the run folder, as `pipeline.score.proxy.model` writes one."""
    from pipeline.score.proxy.model import Shape, config_json

    if f"models/{name}/model.safetensors" not in paths:
        return False
    config = json.loads(paths[f"models/{name}/config.json"].read_bytes())
    sizes = [config.get(key) for key in ("vocab_size", "num_hidden_layers", "hidden_size")]
    if not all(sizes):
        return False
    return bool(json.loads(config_json(Shape(*sizes), config.get("eos_token_id"))) == config)


def _subject(
    entry: dict[str, Any], paths: dict[str, Path], table: pa.Table, device: str
) -> ProbedModel:
    """Load a proxy of the run folder."""
    from pipeline.score.proxy.model import Shape, from_safetensors

    name = entry["proxy"]
    config: dict[str, Any] = json.loads(paths[f"models/{name}/config.json"].read_bytes())
    shape = Shape(config["vocab_size"], config["num_hidden_layers"], config["hidden_size"])
    model = from_safetensors(shape, paths[f"models/{name}/model.safetensors"].read_bytes())
    found = proxy_statistics(table, name, ("seen",))["seen"]
    seen = np.nan_to_num(found).astype(np.int64)
    eos = int(config["eos_token_id"])
    return ProbedModel(name, entry["role"], model.to(device).eval(), device, eos, seen)
