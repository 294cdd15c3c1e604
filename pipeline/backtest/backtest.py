"""Run a back-test, top to bottom: read the run, declare, train targets, score them, judge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import run
from pipeline.backtest.arms import retention
from pipeline.backtest.arms.arms import REMOVAL_ARM, Planned, plan, require_arms
from pipeline.backtest.arms.removal import most_arms, removal
from pipeline.backtest.arms.removal_results import removal_arm_rows, removal_rows
from pipeline.backtest.arms.results import arm_rows
from pipeline.backtest.arms.retention import RETENTION_ARM, retention_rows
from pipeline.backtest.judgement.declared import (
    code_digests,
    declaration,
    declare,
    digest_of_declaration,
)
from pipeline.backtest.judgement.doses import dose_rows
from pipeline.backtest.judgement.evidence import Evidence, evidence
from pipeline.backtest.judgement.forecasts import UNSEEN, forecast, held_out, judged_rows
from pipeline.backtest.judgement.judge import (
    curve_rows,
    difference_rows,
    metric_rows,
    panel_table,
    reliability_rows,
    triple_rows,
)
from pipeline.backtest.judgement.measures import Bootstrap
from pipeline.backtest.judgement.truths import Truth, rungs_of, truth_of
from pipeline.backtest.ledger import Built, Ledger, Output, say
from pipeline.backtest.result import Named, summary
from pipeline.backtest.sizes import size_of
from pipeline.backtest.subject import Subject, read_subject
from pipeline.backtest.training.cost import cost_lines
from pipeline.backtest.training.trainings import (
    EARLY,
    FINAL,
    Trainer,
    Training,
    digest_rows,
    seeds_of,
    shapes_of,
    targets_of,
)
from pipeline.config.sections import Config
from pipeline.engine.files import holding
from pipeline.engine.memory import workers_of
from pipeline.engine.progress import current
from pipeline.engine.run_folder import open_run
from pipeline.engine.system import writing
from pipeline.score.forecast.scaling import Model
from pipeline.score.proxy.ensemble import cores_for
from pipeline.score.proxy.pool import WorkerPool, torch_threads
from schemas import backtest as schemas
from schemas.backtest import (
    ARMS,
    CURVE,
    DIFFERENCES,
    DOSES,
    METRICS,
    PANEL,
    RELIABILITY,
    REMOVAL,
    REMOVAL_ARMS,
    RETENTION,
    SCORES,
    TRIPLES,
)

FOLDER = "backtest"
RESULT = "backtest.json"
UNFINISHED = ".unfinished"
JUDGED = 8  # version of the judgement: of its tables and their metrics
TABLES = frozenset(
    ["models"]
    + [s.metadata[b"table"].decode() for s in vars(schemas).values() if isinstance(s, pa.Schema)]
)
Tables = dict[pa.Schema, list[dict[str, Any]]]  # rows by schema
NO_ARMS: Tables = {ARMS: [], REMOVAL: [], REMOVAL_ARMS: [], RETENTION: []}


@dataclass(frozen=True)
class BacktestRun:
    """A back-test that is ready to train.

    Attributes:
        subject: the scored run that it rests on.
        config: its settings.
        ledger: the folder of the back-test with its outputs.
        pool: the threads that train and score.
    """

    subject: Subject
    config: Config
    ledger: Ledger
    pool: WorkerPool

    @property
    def trainer(self) -> Trainer:
        """The worker that trains and scores."""
        return Trainer(self.ledger, self.config.proxy, self.pool)


def backtest(
    out: Path, config: Config, size_name: str, arms: Sequence[str] = (), *, dry_run: bool = False
) -> dict[str, Any]:
    """Run the back-test of a scored run, or go on with it, and return what `backtest.json` holds.

    Args:
        out: the run folder; its score must be finished.
        config: the settings.
        size_name: smoke | miniature | full.
        arms: the arms to train as well.
        dry_run: say what the trainings cost, and train nothing.

    Raises:
        ConfigError: When there is no such size or arm, or the score is not finished.
    """
    size = size_of(size_name, config.backtest)
    require_arms(arms)
    with opened(out, config) as of:
        shapes, seeds = shapes_of(of.subject, size, config.proxy), seeds_of(size, config.proxy)
        trainings = targets_of(of.subject, shapes, seeds)
        plain = max(trainings, key=lambda one: (one.shape.parameters, -one.seed))
        planned = planned_arms(of, arms, plain) if arms else None
        every = [*trainings, *(arm.training for arm in (planned.arms if planned else ()))]
        for line in cost_lines(of.trainer.due(every), config.proxy, of.pool.workers):
            say(line)
        if planned and RETENTION_ARM in arms:
            say(_retention_cost(of, planned))
        plains = [one for one in trainings if one.shape == plain.shape]
        if planned and REMOVAL_ARM in arms:
            more = most_arms(planned, config.backtest.removal_arms, len(plains))
            say(f"removal: up to {more} trainings more like {plain.name}")
        if dry_run:
            return {"dry_run": True}
        names = [one.name for one in trainings]
        declared = declaration(names, of.subject.identity, config)
        declare(of.ledger.folder, declared, of.ledger.names("train/target-"))
        truths, scored = remembered(of, trainings)
        found = evidence(of.subject, truths)
        named = Named(size.name, digest_of_declaration(declared), every)
        of_arms = NO_ARMS | (_arms(of, planned, plain, found) if planned else {})
        if planned and REMOVAL_ARM in arms:
            of_arms |= _removed(of, planned, plains)
        if planned and RETENTION_ARM in arms:
            of_arms[RETENTION] = _retained(of, planned, plain, found)
        return _judge(of, named, found, [one.fingerprint for one in scored], of_arms)


def planned_arms(of: BacktestRun, arms: Sequence[str], plain: Training) -> Planned:
    """Return the arms of the plain target, by the forecast of it."""
    subject, judged = of.subject, judged_rows(of.subject)
    own = held_out(subject, subject.panel, UNSEEN, judged)
    found = forecast(own, Model(plain.shape.parameters, own.top.tokens), [])
    return plan(subject, of.config, arms, plain, found.risk[:, 0])


def _arms(of: BacktestRun, planned: Planned, plain: Training, found: Evidence) -> Tables:
    """Train and score the arms, and return the rows of their tables."""
    trainings = [plain, *(arm.training for arm in planned.arms)]
    outputs = of.trainer.train(trainings)
    wanted = [(one, output, FINAL) for one, output in zip(trainings, outputs, strict=True)]
    rows = np.concatenate((of.subject.panel_rows, planned.reserve.held))
    scores = [one.table(SCORES) for one in of.trainer.score(wanted, rows, "arms")]
    draw = Bootstrap(of.subject.unit, of.config.backtest.draws, of.config.proxy.seed)
    return {ARMS: arm_rows(planned, of.subject, found.judged, scores, draw)}


def _removed(of: BacktestRun, planned: Planned, plain: Sequence[Training]) -> Tables:
    """Search for what must go, and return the rows of its tables."""
    most = of.config.backtest.removal_arms
    found = removal(of.subject, planned, plain, of.trainer, most)
    draw = Bootstrap(found.asked.unit, of.config.backtest.draws, of.config.proxy.seed)
    vocabulary = of.subject.vocabulary
    return {
        REMOVAL: removal_rows(found, draw, vocabulary),
        REMOVAL_ARMS: removal_arm_rows(found, draw, vocabulary),
    }


def _retention_cost(of: BacktestRun, planned: Planned) -> str:
    """Return what training on costs, in steps and forward passes; an update is worth three."""
    asked = len(of.subject.panel_rows) + len(planned.reserve.held)
    rows = retention.rows_needed(of.config.proxy.batch)
    passes = len(retention.UPDATES) * asked + 3 * rows
    return f"retention: {retention.UPDATES[-1]} more updates, {passes:,} passes of one sequence"


def _retained(
    of: BacktestRun, planned: Planned, plain: Training, found: Evidence
) -> list[dict[str, Any]]:
    """Train the plain target on and return the rows of `backtest_retention`."""
    [output] = of.trainer.train([plain])
    rows = np.concatenate((of.subject.panel_rows, planned.reserve.held))
    scores = of.trainer.go_on(plain, output, planned.reserve.refill, rows, retention.UPDATES)
    batch = of.config.proxy.batch
    return retention_rows(of.subject, found.judged, scores.table(SCORES), batch)


@contextmanager
def opened(out: Path, config: Config) -> Iterator[BacktestRun]:
    """Open the back-test of a scored run, alone; files are named when their output is whole."""
    current().stage("backtest", 1)
    subject = read_subject(out, config)
    folder = out / FOLDER
    cores = cores_for(config.proxy, workers_of(config))
    pool = WorkerPool(cores, config.proxy.threads, current().advance, folder / UNFINISHED)
    with (
        writing(out),
        open_run(folder, tables=TABLES, create=run.new_manifest()) as own,
        holding(folder),
        torch_threads(config.proxy.threads, exact=config.proxy.deterministic),
    ):
        yield BacktestRun(subject, config, Ledger(own), pool)


def remembered(of: BacktestRun, trainings: Sequence[Training]) -> tuple[list[Truth], list[Output]]:
    """Train targets that are not there yet, and return what each remembers, with its scores."""
    outputs = of.trainer.train(trainings)
    wanted = [
        (one, output, mark)
        for one, output in zip(trainings, outputs, strict=True)
        for mark in (FINAL, EARLY)
    ]
    scored = of.trainer.score(wanted, of.subject.panel_rows)
    tables = [output.table(SCORES) for output in scored]
    truths = [
        truth_of(one, *tables[2 * place : 2 * place + 2]) for place, one in enumerate(trainings)
    ]
    return truths, scored


def judged(found: Evidence, arms: Tables | None = None) -> Tables:
    """Return the rows of every table but the panel's, by schema."""
    config = found.subject.work.config
    draw = Bootstrap(found.subject.unit, config.backtest.draws, config.proxy.seed)
    rows, headline = metric_rows(found, draw)
    truths = {one.truth.name: one.truth for one in found.triples}
    return {
        TRIPLES: triple_rows(found, draw),
        METRICS: rows,
        DIFFERENCES: difference_rows(headline),
        CURVE: curve_rows(found),
        RELIABILITY: reliability_rows(found, draw),
        DOSES: dose_rows(
            found.subject, list({**_named(rungs_of(found.subject.panel)), **truths}.values())
        ),
        **(arms or NO_ARMS),
    }


def _named(truths: Sequence[Truth]) -> dict[str, Truth]:
    return {one.name: one for one in truths}


def _judge(
    of: BacktestRun,
    named: Named,
    found: Evidence,
    scored: list[str],
    arms: Tables,
) -> dict[str, Any]:
    """Write every table and `backtest.json`, and return what the latter holds."""

    def build() -> Built:
        tables = judged(found, arms)
        files = [
            of.ledger.table(schema, "all", pa.Table.from_pylist(values, schema))
            for schema, values in tables.items()
        ]
        files.append(of.ledger.table(PANEL, "all", panel_table(found)))
        result = summary(named, found, tables)
        text = json.dumps(result, indent=1, sort_keys=True) + "\n"
        return [*files, of.ledger.result(RESULT, text.encode())], {}

    risks = [digest_rows(one.forecast.risk) for one in found.triples]
    parts = [named.size, named.declared, [one.name for one in named.trainings], scored]
    of.ledger.get("judgement", [JUDGED, code_digests(), parts, risks, list(arms.values())], build)
    return dict(json.loads((of.ledger.folder / RESULT).read_bytes()))
