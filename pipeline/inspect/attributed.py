"""Ask the proxies why a row's riskiest sequence is recited: tokens it rests on, self-influence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config.sections import Config
from pipeline.corpus import Shard
from pipeline.engine.progress import current
from pipeline.engine.stage import Work
from pipeline.errors import ConfigError
from pipeline.score.slices import PREFIX

if TYPE_CHECKING:
    from pipeline.inspect.explanation import Explanation
    from pipeline.score.probes.panel import ProbedModel, ProbeInput

NEEDED = ("sequences", "counts", "models")
SHOWN = 5  # tokens
BACKWARD = 2  # a backward pass counts as two forward ones


@dataclass(frozen=True)
class Attributed:
    """What the proxies say of one sequence.

    Attributes:
        proxy: the largest, which was asked for the tokens.
        whole: nats that the prefix adds to log p of the suffix.
        tokens: first byte, byte past the last and nats of the tokens that add most.
        influence: proxy, times that it saw the sequence (None: not known) and self-influence.
    """

    proxy: str
    whole: float
    tokens: list[tuple[int, int, float]]
    influence: list[tuple[str, int | None, float]]


def attribute(
    folder: Path,
    config: Config,
    shards: Sequence[Shard],
    tables: dict[str, list[Path]],
    explained: Sequence[Explanation],
) -> None:
    """Add to each explanation of a scored row what the proxies say of its riskiest sequence.

    Args:
        folder: the run folder.
        config: its settings.
        shards: its shards.
        tables: the files of its tables.
        explained: the explanations, with their texts.

    Raises:
        ConfigError: When the run has no proxies.
    """
    from pipeline.score.probes.attribution import STEPS
    from pipeline.score.probes.panel import probe_input
    from pipeline.score.proxy.pool import torch_threads

    asked = [one for one in explained if one.sequence is not None and one.text is not None]
    if not asked:
        current().message("attribution: no scored sequence whose text may be read")
        return
    every = config.model_copy(update={"probes": config.probes.model_copy(update={"models": "all"})})
    names = {
        name: tuple(path.relative_to(folder).as_posix() for path in tables.get(name, []))
        for name in NEEDED
    }
    of = None
    if all(names.values()):
        of = probe_input(Work("probes", "all", folder, every, tuple(shards), names))
    if of is None:
        raise ConfigError(
            "There are no proxies to ask.",
            where=str(folder),
            found="the run was not scored, or is out of date",
            fix=f"score it: rote score {folder}",
        )
    passes = len(asked) * (1 + BACKWARD) * (STEPS + len(of.subjects))
    current().message(f"attribution: {passes:,} passes of one sequence")
    with torch_threads(config.proxy.threads):
        for one in asked:
            one.attributed = _asked(of, one)


def _asked(of: ProbeInput, one: Explanation) -> Attributed:
    """Return what the proxies say of a row's riskiest sequence."""
    from pipeline.score.probes.attribution import attribution, log_p_of
    from pipeline.score.sequences.training_rows import token_rows, tokenized

    start = int((one.sequence or {})["start_token"])
    [text] = tokenized(of.tokenizer, {0: one.text or ""}, of.top.eos).values()
    row = token_rows(text, np.array([start]))[0]
    added = attribution(of.top, row)
    own = slice(start, start + PREFIX)
    first, past = text.encoded.starts[own], text.encoded.ends[own]
    most = np.argsort(-added, kind="stable")[:SHOWN].tolist()
    whole, without = (log_p_of(of.top, row, mean_prefix=side) for side in (False, True))
    tokens = [(int(first[place]), int(past[place]), float(added[place])) for place in most]
    return Attributed(of.top.name, whole - without, tokens, list(_influence(of, one, row)))


def _influence(
    of: ProbeInput, one: Explanation, row: np.ndarray
) -> Iterator[tuple[str, int | None, float]]:
    """Yield the self-influence of a sequence on each proxy."""
    from pipeline.score.probes.attribution import self_influence

    seen = {entry["proxy"]: entry["seen"] for entry in (one.sequence or {})["proxies"]}
    for subject in of.subjects:
        times = _times(subject, seen)
        yield subject.name, times, self_influence(subject, row)


def _times(subject: ProbedModel, seen: dict[str, int]) -> int | None:
    """Return how often a proxy saw a sequence; None where that is not known."""
    return seen.get(subject.name) if subject.known else None
