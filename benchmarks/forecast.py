"""Measure the forecast on a scored run, against targets of chosen shapes and seeds.

    python benchmarks/forecast.py RUN [--shapes 7x160] [--seeds 2 3 4] [--packed 256] [--out RESULT.json]
        [--panel PANEL.parquet] [--known PANEL.parquet]

RUN is a finished `rote score`. This is `rote backtest RUN` (docs/backtest.md) for targets that are
named one by one: the same trainings, kept in RUN/backtest, the same folds and figures. It declares
nothing: a result says that it was not declared before its targets were trained. With --packed each
target is trained once more on windows of that many tokens, cut from whole documents one after
another, as people train (`pipeline/backtest/training/packed.py`). Results: a line for each ladder,
target, seed and stratum, and all rows as JSON. --panel writes what they are made of, a row for each
sequence: counts, what every proxy and target remembers of it, the forecasts; no text. Targets that
such a panel of the same sequences has are not trained again with --known.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.backtest.backtest import BacktestRun, judged, opened, remembered
from pipeline.backtest.judgement.evidence import Evidence, evidence
from pipeline.backtest.judgement.judge import panel_table
from pipeline.backtest.judgement.measures import triple_line
from pipeline.backtest.judgement.truths import Truth
from pipeline.backtest.result import Named, summary
from pipeline.backtest.training.packed import packed_rows
from pipeline.backtest.training.trainings import Training, targets_of
from pipeline.config.load import load_config
from pipeline.engine.manifest import saved_config
from pipeline.score.forecast.features import Seen
from pipeline.score.proxy.model import Shape
from pipeline.score.slices import SEQUENCE
from schemas.backtest import DIFFERENCES, TRIPLES

NUMBERS = ("margin", "log_p")  # of a model in a panel
LEFT_OUT = ("metrics", "reliability")  # in the record; `rote backtest` writes them as tables


def main() -> int:
    """Train the targets, judge every forecast, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--shapes", nargs="*", default=["7x160"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[2, 3, 4])
    parser.add_argument("--packed", type=int, default=0, metavar="TOKENS")
    parser.add_argument("--set", nargs="*", default=[], help="settings, as of rote backtest")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--known", type=Path)
    asked = parser.parse_args()
    config = load_config(settings=asked.set, base=saved_config(asked.run))
    with opened(asked.run, config) as of:
        shapes = [shape_of(of.subject.vocabulary, name) for name in asked.shapes]
        trainings = targets_of(of.subject, shapes, asked.seeds)
        known = known_truths(of, asked.known) if asked.known else {}
        due = [one for one in trainings if one.name not in known]
        trained = dict(zip((one.name for one in due), remembered(of, due)[0], strict=True))
        truths = [(known | trained)[one.name] for one in trainings]
        found = evidence(of.subject, truths)
        tables = judged(found)
        if asked.packed:
            tables[TRIPLES] += packed(of, due, asked.packed)
        for row in tables[TRIPLES]:
            sys.stdout.write(triple_line(row) + "\n")
        if known:  # comparisons ask what a target remembers before its end, which no panel has
            tables[DIFFERENCES] = []
        result = summary(Named("as named", "", trainings), found, tables)
        if asked.panel:
            pq.write_table(released(found, truths), asked.panel, compression="zstd")
    if asked.out:
        known_as = {"known": asked.known.name} if asked.known else {}
        asked.out.write_text(json.dumps(recorded(asked.run, result) | known_as, indent=1) + "\n")
    return 0


def known_truths(of: BacktestRun, path: Path) -> dict[str, Truth]:
    """Return what the targets of a released panel remember, by the names of their trainings.

    Raises:
        ValueError: When the panel is of other sequences.
    """
    table, subject = pq.read_table(path), of.subject
    same = {"unit": subject.unit, "taught": subject.panel.top.dose, "weight": subject.panel.weight}
    same |= {"suffix_count": subject.panel.suffix, "rarest_count": subject.panel.rarest}
    for column, own in same.items():
        if not np.array_equal(table[column].to_numpy(), own):
            raise ValueError(f"{path} is not of the sequences of this run: {column} differs")
    found = {}
    for name, about in json.loads(table.schema.metadata[b"models"]).items():
        if about["role"] == "target":
            _, model, seed = name.split("_")
            memorized = table[f"{name}_memorized"].to_numpy()
            lead, log_p = (table[f"{name}_{key}"].to_numpy().astype(float) for key in NUMBERS)
            truth = Truth(model, int(seed[1:]), about["parameters"], memorized, lead, log_p)
            found[f"target-{model}-{seed}"] = truth
    return found


def packed(of: BacktestRun, trainings: Sequence[Training], context: int) -> list[dict[str, Any]]:
    """Return the rows of the same targets, trained on packed windows.

    Args:
        of: the back-test.
        trainings: of the targets.
        context: tokens of a window; a step has as many tokens as before.
    """
    rows = max(1, of.config.proxy.batch * SEQUENCE // context)
    proxy = of.config.proxy.model_copy(update={"batch": rows})
    own = replace(of, config=of.config.model_copy(update={"proxy": proxy}))
    wanted = [
        replace(one, name=f"{one.name}-packed", rows=packed_rows(of.subject, context, one.seed))
        for one in trainings
    ]
    truths, _ = remembered(own, wanted)
    named = [replace(one, model=f"{one.model} packed") for one in truths]
    return [row for row in judged(evidence(of.subject, named))[TRIPLES] if row["seed"] is not None]


def released(found: Evidence, truths: Sequence[Truth]) -> pa.Table:
    """Return the panel with what each proxy and target remembers; sizes are in its metadata."""
    table = panel_table(found)
    about = {}
    for one in found.subject.panel.proxies:
        about[one.name] = {"role": one.role, "parameters": one.parameters, "tokens": one.tokens}
        table = with_columns(table, one.name, one)
        table = table.append_column(f"{one.name}_dose", pa.array(one.dose))
    for truth in truths:
        name = f"target_{truth.model}_s{truth.seed}"
        about[name] = {"role": "target", "parameters": truth.parameters}
        table = with_columns(table, name, truth)
    return table.replace_schema_metadata({"models": json.dumps(about)})


def with_columns(table: pa.Table, name: str, model: Seen | Truth) -> pa.Table:
    """Return a table with whether a model memorized each row, its log p_z and its margin."""
    table = table.append_column(f"{name}_memorized", pa.array(model.memorized))
    for key in NUMBERS:  # in nats; as exact as a proxy says them
        values = getattr(model, key).astype(np.float32)
        table = table.append_column(f"{name}_{key}", pa.array(values))
    return table


def shape_of(vocabulary: int, name: str) -> Shape:
    """Return the shape of a name such as 7x160: layers and width."""
    layers, width = (int(part) for part in name.split("x"))
    return Shape(vocabulary, layers, width)


def recorded(run: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept: the rows of all triples as `rows`, and what they are of."""
    kept = {key: value for key, value in result.items() if key not in LEFT_OUT}
    rows, made_of = kept.pop("triples"), kept.pop("run")
    return {"run": run.name, "made_of": made_of, "rows": rows, **kept}


if __name__ == "__main__":
    sys.exit(main())
