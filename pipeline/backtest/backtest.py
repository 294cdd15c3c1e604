"""Run a back-test, top to bottom: corpus, scan, declaration, trainings, scores, judgement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import run
from pipeline.backtest.arms.arms import ArmInput, arm_rows, plan, require_arms, reserve_rows
from pipeline.backtest.backtest_run import BacktestRun, TrainedModels
from pipeline.backtest.corpus import subject as material
from pipeline.backtest.corpus.corpus import make, rows_of_corpus
from pipeline.backtest.judgement.doses import dose_rows
from pipeline.backtest.judgement.evidence import Evidence, evidence
from pipeline.backtest.judgement.judge import (
    curve_rows,
    difference_rows,
    metric_rows,
    panel_table,
    reliability_rows,
)
from pipeline.backtest.judgement.preregistered import declaration, declare, targets
from pipeline.backtest.ledger import Built, Ledger, Output, say
from pipeline.backtest.result import summary
from pipeline.backtest.sizes import Size, size_of
from pipeline.backtest.training.cost import cost_lines
from pipeline.backtest.training.trainings import (
    EARLY,
    FINAL,
    TARGET,
    Training,
    digest_rows,
    proxies_of,
    targets_of,
)
from pipeline.config.sections import Config
from pipeline.engine.memory import workers_of
from pipeline.engine.progress import current
from pipeline.engine.run_folder import open_run
from pipeline.engine.session import one_by_one
from pipeline.engine.stage import ALL
from pipeline.engine.system import writing
from pipeline.engine.tables import read_table
from pipeline.errors import ConfigError, InputError
from pipeline.scan.inventory import require_unchanged
from pipeline.score.forecast.target import Target
from pipeline.score.proxy.pool import WorkerPool, torch_threads
from pipeline.score.proxy.tokenizer import read_tokenizer
from pipeline.score.sequences.catalogue import COLUMNS, catalogue
from pipeline.score.sequences.sequence_table import sequence_tables
from pipeline.score.sequences.sequences import VERSION as SCORED
from pipeline.score.slices import ROW_TOKENS
from schemas import backtest as schemas
from schemas.backtest import (
    ARMS,
    CORPUS,
    CURVE,
    DIFFERENCES,
    DOSES,
    METRICS,
    PANEL,
    PLANTED,
    RELIABILITY,
    RESERVE,
    SCORES,
)
from schemas.scan.counts import COUNTS
from schemas.score.sequences import SEQUENCES

FOLDER = "backtest"
RESULT = "backtest.json"
TOKENIZER = "models/tokenizer.json"
JUDGED = 3  # version of the judgement: of its tables and their metrics
TABLES = frozenset(
    ["models", "sequences"]
    + [s.metadata[b"table"].decode() for s in vars(schemas).values() if isinstance(s, pa.Schema)]
)
NO_ROWS = np.zeros((0, ROW_TOKENS), np.int64)


def backtest(
    out: Path, config: Config, size_name: str, arms: Sequence[str] = (), *, dry_run: bool = False
) -> dict[str, Any]:
    """Run the back-test of a run folder, or go on with it, and return what `backtest.json` holds.

    Args:
        out: the run folder; its scan must be finished.
        config: the settings.
        size_name: smoke | miniature | full.
        arms: the arms to train as well.
        dry_run: make the corpus, say what the trainings cost, and train nothing.

    Raises:
        ConfigError: When there is no such size or arm, or the scan is not finished.
        InputError: When the corpus is too small for the size.
    """
    size = size_of(size_name, config.backtest)
    require_arms(arms)
    folder = out / FOLDER
    with writing(out), open_run(folder, tables=TABLES, create=run.new_manifest()) as opened:
        ledger = Ledger(opened)
        with torch_threads(config.proxy.threads, exact=config.proxy.deterministic):
            backtest_run = _prepare(out, ledger, size, config)
            return _go(backtest_run, arms, dry_run=dry_run)


def _go(backtest_run: BacktestRun, arms: Sequence[str], *, dry_run: bool) -> dict[str, Any]:
    """Declare the comparisons, train and score every model, and judge the forecast."""
    config, subject = backtest_run.config, backtest_run.subject
    proxies = proxies_of(subject, config.proxy, backtest_run.vocabulary)
    of_target = targets_of(subject, config, backtest_run.vocabulary)
    due = backtest_run.trainer.due([*proxies, *of_target])
    for line in cost_lines(due, config.proxy, backtest_run.pool.workers):
        say(line)
    if arms:
        say(f"  and {len(arms)} arms, each a training like that of the target: {', '.join(arms)}")
    if dry_run:
        return {"dry_run": True}
    folder = backtest_run.ledger.folder
    declare(
        folder, declaration(backtest_run.size, config), targets(backtest_run.ledger.names("train/"))
    )
    trained = _train(backtest_run, [*proxies, *of_target])
    table, about = _sequences(backtest_run, proxies, trained)
    target = _target(backtest_run, of_target[0], proxies)
    found = evidence(subject, table, about, trained.models, target)
    reserve = reserve_rows(backtest_run.corpus, backtest_run.tokenizer) if arms else NO_ROWS
    arm_input = ArmInput(subject, config, of_target[0], reserve)
    planned = plan(arm_input, arms, found)
    plain = trained.outputs[len(proxies)]
    results = arm_rows(backtest_run.trainer, planned, arm_input, plain, found)
    return _judge(backtest_run, trained, found, target, results)


def _prepare(out: Path, ledger: Ledger, size: Size, config: Config) -> BacktestRun:
    """Return a back-test that is ready to train: its corpus made, scanned and read."""
    sized = config.model_copy(update={"proxy": size.proxy(config.proxy)})
    current().stage("backtest corpus", 1)
    corpus = _corpus(out, ledger, size, sized)
    current().unit_done("backtest corpus")
    scanned = ledger.folder / "scan"
    settings = material.scan(ledger.folder / "backtest_corpus", scanned, sized)
    work = material.work_on(scanned, settings)
    tokenizer = read_tokenizer(corpus.files[TOKENIZER], "the back-test's own")
    subject = material.subject(work, corpus.table(PLANTED), tokenizer)
    current().stage("backtest", 1)
    pool = WorkerPool(workers_of(config), config.proxy.threads, current().advance)
    return BacktestRun(ledger, size, sized, corpus, subject, tokenizer, pool)


def _corpus(out: Path, ledger: Ledger, size: Size, config: Config) -> Output:
    with run.session(out, config, one_by_one) as opened:
        require_unchanged(opened.manifest)
        missing = [stage.name for stage in run.SCAN if not opened.current(stage)]
        if missing:
            raise ConfigError(
                "This run folder cannot be back-tested yet: its scan is not finished, "
                "or is of other settings.",
                where=str(out),
                found=f"not current: {', '.join(missing)}",
                fix="finish it: rote scan CORPUS... --out RUN (with the same settings)",
            )
        scanned = opened.manifest["outputs"][f"counts/{ALL}"]["digest"]
        parts = [scanned, asdict(size), config.proxy.vocabulary, config.proxy.seed]

        def build() -> Built:
            work = material.work_on(out, config)
            known = catalogue(read_table(work.paths("counts"), COUNTS, list(COLUMNS)))
            try:
                made = make(work, known, size, config.proxy)
            except ValueError as error:
                raise InputError(
                    "The corpus is too small for a back-test of this size.",
                    where=str(out),
                    found=str(error),
                    fix="name a smaller one with --size, or scan a larger corpus",
                ) from error
            planted = pa.Table.from_pylist([asdict(text) for text in made.texts], PLANTED)
            reserve = pa.table({"text": pa.array(made.reserve, pa.string())})
            return [
                ledger.table(CORPUS, "corpus", rows_of_corpus(made.texts)),
                ledger.table(PLANTED, "planted", planted),
                ledger.table(RESERVE, "reserve", reserve),
                ledger.file("tokenizer.json", made.tokenizer.to_str().encode()),
            ], made.facts

        return ledger.get("corpus", parts, build)


def _train(backtest_run: BacktestRun, trainings: list[Training]) -> TrainedModels:
    """Train what is not there yet, and score every model on the panel and what is outside."""
    outputs = backtest_run.trainer.train(trainings)
    subject = backtest_run.subject
    wanted = [
        (one, output, mark)
        for one, output in zip(trainings, outputs, strict=True)
        for mark in ((FINAL,) if one.name != TARGET else (EARLY, FINAL))
    ]
    scored = backtest_run.trainer.score(wanted, subject.panel_rows, subject.outside)
    models = {
        f"{one.name}/{mark}": found.table(SCORES)
        for (one, _, mark), found in zip(wanted, scored, strict=True)
    }
    return TrainedModels(trainings, outputs, models)


def _sequences(
    backtest_run: BacktestRun, proxies: list[Training], trained: TrainedModels
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Return the `sequences` of the panel by the proxies alone, and facts about the proxies."""
    outputs = trained.outputs[: len(proxies)]
    models = backtest_run.trainer.proxies(proxies, outputs)
    subject = backtest_run.subject
    about = [
        {
            "proxy": proxy.name,
            "role": proxy.role,
            "parameters": proxy.parameters,
            "tokens": proxy.tokens,
        }
        for proxy in models
    ]

    def build() -> Built:
        rows, _ = sequence_tables(subject.work, subject.material, models, backtest_run.pool)
        return [backtest_run.ledger.table(SEQUENCES, "panel", rows)], {"proxies": about}

    parts = [SCORED, backtest_run.corpus.fingerprint, [output.fingerprint for output in outputs]]
    found = backtest_run.ledger.get("sequences", parts, build)
    return found.table(SEQUENCES), about


def _target(backtest_run: BacktestRun, training: Training, proxies: Sequence[Training]) -> Target:
    """Return what the forecast is told of the target: its size and its training, no label."""
    largest = max(proxy.shape.parameters for proxy in proxies)
    epochs = backtest_run.config.proxy.epochs
    tokens = training.rows[:, 1:].size * epochs
    parameters = training.shape.parameters
    return Target(
        parameters, float(epochs), tokens, parameters / largest, 1.0, "the back-test's own"
    )


def _judge(
    backtest_run: BacktestRun,
    trained: TrainedModels,
    found: Evidence,
    target: Target,
    arms: list[dict[str, Any]],
) -> dict[str, Any]:
    """Write every table and `backtest.json`, and return what the latter holds."""
    draws, seed = backtest_run.config.backtest.draws, backtest_run.config.proxy.seed
    parts = [
        JUDGED,
        [output.fingerprint for output in trained.outputs],
        [backtest_run.corpus.fingerprint, draws, seed, arms],
        [digest_rows(values) for values in found.risk.values()],
    ]

    def build() -> Built:
        rows, headline = metric_rows(found, draws, seed)
        tables = {
            METRICS: rows,
            DIFFERENCES: difference_rows(headline),
            CURVE: curve_rows(found),
            RELIABILITY: reliability_rows(found, draws, seed),
            DOSES: dose_rows(backtest_run.subject, trained.trainings, trained.models),
            ARMS: arms,
        }
        files = [
            backtest_run.ledger.table(schema, "all", pa.Table.from_pylist(values, schema))
            for schema, values in tables.items()
        ]
        files.append(backtest_run.ledger.table(PANEL, "all", panel_table(found)))
        result = summary(backtest_run, trained.trainings, found, target, tables)
        text = json.dumps(result, indent=1, sort_keys=True) + "\n"
        return [*files, backtest_run.ledger.result(RESULT, text.encode())], {}

    backtest_run.ledger.get("judgement", parts, build)
    return dict(json.loads((backtest_run.ledger.folder / RESULT).read_bytes()))
