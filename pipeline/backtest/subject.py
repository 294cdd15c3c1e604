"""What a back-test rests on: a scored run, with its ladder, its panel and what it was taught.

Nothing is made anew. The rows that the proxies were taught are chosen again from the same settings
and texts (`pipeline.score.sequences.sequences.material`), and held against the tables of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import run
from pipeline.backtest.units import units_of
from pipeline.config.sections import Config
from pipeline.engine.session import Session, one_by_one
from pipeline.engine.stage import ALL, Work
from pipeline.engine.tables import read_table
from pipeline.errors import ConfigError, IntegrityError
from pipeline.report.data.headline import forecast_facts, no_forecast
from pipeline.scan.inventory import require_unchanged
from pipeline.score.forecast.features import ScoredPanel, read_panel
from pipeline.score.sequences import plants
from pipeline.score.sequences.catalogue import documents_to_score
from pipeline.score.sequences.models import PROXIES
from pipeline.score.sequences.proxy_statistics import proxy_statistics
from pipeline.score.sequences.sequence_table import ScoringInput
from pipeline.score.sequences.sequences import Material, material, to_score
from pipeline.score.sequences.training_rows import token_rows
from pipeline.score.slices import ROW_TOKENS
from pipeline.text.arrays import Flags, Float64, Int64
from schemas.filter.decisions import CUTS, DECISIONS
from schemas.score.plants import PLANTS
from schemas.score.sequences import SEQUENCES

NATURAL = "natural"
SCORED = ("sequences", "risk")  # stages that a back-test rests on


@dataclass(frozen=True)
class Subject:
    """Everything that targets learn from and are judged on.

    Attributes:
        work: of the stage `sequences`.
        material: what the proxies were taught.
        scored: the sequences of the panel.
        rows: what an epoch teaches, plants included, EOS and 64 tokens each, (rows, 65).
        panel_rows: the panel and the scored plants, in the order of `panel`, (sequences, 65).
        panel: the same as arrays, with the statistics of the proxies.
        kind: natural | exact | fuzzy | template, (sequences,).
        unit: of each sequence, what folds and the bootstrap take as one, (sequences,).
        tables: `sequences` and `plants` of the run.
        identity: digests of the outputs of the run that this follows from.
        decided: `decisions` and `cuts` of the run's filter; None where it is not current.
    """

    work: Work
    material: Material
    scored: ScoringInput
    rows: Int64
    panel_rows: Int64
    panel: ScoredPanel
    kind: np.ndarray
    unit: Int64
    tables: tuple[pa.Table, pa.Table]
    identity: Mapping[str, str]
    decided: tuple[pa.Table, pa.Table] | None = None

    @property
    def vocabulary(self) -> int:
        """The number of tokens of the run's tokenizer."""
        return int(self.material.language.size)

    @cached_property
    def taught(self) -> Flags:
        """Which sequences every rung of the ladder was taught, (sequences,)."""
        return self.panel.top.taught

    def unit_of(self, family: Int64) -> Int64:
        """Return the unit of families by their numbers, in the shape of these."""
        of_family = np.zeros(int(self.panel.family.max(initial=-1)) + 1, np.int64)
        of_family[self.panel.family] = self.unit
        return np.asarray(of_family[family])

    def statistic(self, proxy: str, name: str) -> Float64:
        """Return a statistic of a proxy for each sequence, (sequences,)."""
        parts = [proxy_statistics(table, proxy, (name,))[name] for table in self.tables]
        return np.concatenate(parts)


def read_subject(out: Path, config: Config) -> Subject:
    """Return what a scored run gives to a back-test.

    Args:
        out: the run folder.
        config: the settings.

    Raises:
        ConfigError: when the score is not finished, of other settings, of loaded models, or has no
            forecast.
    """
    with run.session(out, config, one_by_one) as opened:
        require_unchanged(opened.manifest)
        _require_scored(out, opened)
        work = opened.work(run.STAGES["sequences"], ALL, 1)
        files = opened.run.tables()
        recorded = opened.manifest["outputs"]
        filtered = opened.current(run.STAGES["decisions"])
        identity = {
            name: recorded[name]["digest"]
            for name in sorted(recorded)
            if name.partition("/")[0] in ("counts", *SCORED)
        }
        missing = no_forecast(*forecast_facts(opened.manifest))
    about = json.loads(next(p for p in files["models"] if p.name == PROXIES).read_bytes())
    _require_trained_now(out, about)
    if missing and not any("source" in one for one in about["proxies"]):
        raise ConfigError(**_nothing_to_test(out, missing))
    _require_ladder(out, about["proxies"])
    of = material(work, documents_to_score(work))
    tables = read_table(files["sequences"], SEQUENCES), read_table(files["plants"], PLANTS)
    decided = None
    if filtered:
        decided = (read_table(files["decisions"], DECISIONS), read_table(files["cuts"], CUTS))
    return replace(_subject(work, of, tables, about["proxies"], identity), decided=decided)


def _subject(
    work: Work,
    of: Material,
    tables: tuple[pa.Table, pa.Table],
    proxies: list[dict[str, Any]],
    identity: Mapping[str, str],
) -> Subject:
    """Return the subject of what was read.

    Raises:
        IntegrityError: when the sequences chosen now are not those of the tables.
    """
    scored = to_score(work, of)
    natural = _tokens(scored)
    planted = of.planted.tokens[of.planted.scored]
    _require_same(scored, len(planted), tables)
    panel = read_panel(tables[0], proxies, tables[1])
    rows = np.concatenate((natural, planted))
    kinds = [*[NATURAL] * len(natural), *tables[1]["kind"].to_pylist()]
    return Subject(
        work,
        of,
        scored,
        plants.beside(of.learnt, of.planted)[0],
        rows,
        panel,
        np.array(kinds, object),
        units_of(panel.family, rows)[panel.family],
        tables,
        identity,
    )


def _tokens(scored: ScoringInput) -> Int64:
    """Return EOS and the tokens of each sequence of the panel, (sequences, 65)."""
    pairs = zip(scored.panel.document.tolist(), scored.panel.start_token.tolist(), strict=True)
    rows = [token_rows(scored.texts[number], np.array([start])) for number, start in pairs]
    return np.concatenate([np.zeros((0, ROW_TOKENS), np.int64), *rows])


def _require_scored(out: Path, opened: Session) -> None:
    """Refuse a run whose score is not finished, or is of other settings."""
    wanted = [*run.SCAN, *(run.STAGES[name] for name in SCORED)]
    missing = [s.name for s in wanted if any(opened.due(s, key) for key in opened.units(s))]
    if missing:
        raise ConfigError(
            "This run folder cannot be back-tested yet: its score is not finished, or is of "
            "other settings.",
            where=str(out),
            found=f"not current: {', '.join(missing)}",
            expected="a finished scan and score",
            fix=f"finish it: rote score {out} (with the same settings)",
        )


def _require_ladder(out: Path, proxies: list[dict[str, Any]]) -> None:
    """Refuse a run whose proxies were not trained here: what they were taught is not known."""
    ladder = [one for one in proxies if one["role"] == "ladder" and "source" not in one]
    if len(ladder) < 2:
        raise ConfigError(
            "A back-test needs a ladder of proxies that was trained in this run.",
            where=str(out),
            found=f"{len(ladder)} trained sizes",
            expected="two sizes or more",
            fix=f"score it without proxy.models: rote score {out} --set 'proxy.models=[]'",
        )


def _nothing_to_test(out: Path, missing: str) -> dict[str, str]:
    """Return the parts of the error for a run that has no forecast.

    Args:
        out: the run folder.
        missing: why it has none, and what would help.
    """
    why, _, help_ = missing.partition(" What would help: ")
    return {
        "what": "There is no forecast to back-test.",
        "where": str(out),
        "found": why.removeprefix("There is no forecast: "),
        "expected": "a run whose score has a forecast",
        "fix": f"score again with what would help: {help_}",
    }


def _require_trained_now(out: Path, about: Mapping[str, Any]) -> None:
    """Refuse proxies of an earlier corpus: what they were taught cannot be chosen again."""
    if "kept" not in about:
        return
    raise ConfigError(
        "A back-test needs proxies that were trained on the corpus as it is now.",
        where=str(out),
        found=f"scorings since their training: {about['kept']['scorings']}",
        expected="proxies of this scoring",
        fix=f"train them anew: rote score {out} --set proxy.retrain_above=0",
    )


def _require_same(scored: ScoringInput, planted: int, tables: tuple[pa.Table, pa.Table]) -> None:
    """Refuse sequences that are not those of the tables of the run."""
    places = tables[0]["start_token"].to_numpy()
    keys = scored.known.row_key[scored.panel.document]
    same = np.array_equal(keys, tables[0]["row_key"].to_numpy())
    if same and np.array_equal(places, scored.panel.start_token) and planted == tables[1].num_rows:
        return
    raise IntegrityError(
        "The sequences that a back-test chooses are not those that the run scored.",
        where="sequences",
        found=f"{len(keys)} sequences and {planted} plants",
        expected=f"{tables[0].num_rows} and {tables[1].num_rows}, the same ones",
    )
