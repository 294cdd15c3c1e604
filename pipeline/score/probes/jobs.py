"""Jobs of probing, side by side in a pool: every signal of every proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from pipeline.engine.progress import OnProgress
from pipeline.engine.stage import Work
from pipeline.score.probes import counterfactual as probes_subsets
from pipeline.score.probes import tabular as probes_tabular
from pipeline.score.probes.aggregates import SignalValues
from pipeline.score.probes.cost import passes
from pipeline.score.probes.measures import MEASURES, OF_LOADED
from pipeline.score.probes.panel import Probed, ProbedModel, ProbeInput
from pipeline.score.proxy.pool import WorkerPool

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ProbeJob(Generic[ResultT]):
    """A part of the work.

    Attributes:
        name: of the job, for its progress.
        cost: in forward passes.
        run: does it, and calls its argument with (done, total).
    """

    name: str
    cost: float
    run: Callable[[OnProgress], ResultT]


def probe_all(work: Work, of: ProbeInput, panel: Probed, pool: WorkerPool) -> list[SignalValues]:
    """Return the numbers of all signals that were asked for, by proxy and then by signal."""
    config, costs = work.config, passes(work.config, 1)
    jobs = [
        ProbeJob(
            f"{subject.name} {signal}",
            costs[signal],
            partial(_measured, subject, signal, panel, work),
        )
        for subject in of.subjects
        for signal in config.probes.signals
        if signal in MEASURES and (signal not in OF_LOADED or subject.role == "loaded")
    ]
    found = _done(pool, "probing", jobs)
    if "tabular" in config.probes.signals:
        found += _of_tables(work, of, pool, costs["tabular"])
    if "counterfactual" in config.probes.signals and of.top.known:
        found.append(_counterfactual(work, of, panel, pool))
    return found


def _done(pool: WorkerPool, note: str, jobs: list[ProbeJob[ResultT]]) -> list[ResultT]:
    """Return the results of jobs, in their order."""

    def do(job: ProbeJob[ResultT]) -> ResultT:
        on_progress = pool.progress_of(job.name, job.cost)
        result = job.run(on_progress)
        on_progress(1, 1)
        return result

    return pool.map(note, do, jobs, lambda job: job.cost)


def _measured(
    subject: ProbedModel, signal: str, panel: Probed, work: Work, on_progress: OnProgress
) -> SignalValues:
    """Return the numbers of one signal of one proxy."""
    config = work.config
    values = MEASURES[signal](subject, panel, config.probes, config.proxy.seed, on_progress)
    return SignalValues(
        signal, subject.name, panel, subject.seen[panel.place], values, subject.known
    )


def _of_tables(work: Work, of: ProbeInput, pool: WorkerPool, cost: float) -> list[SignalValues]:
    """Return the rates of all tables, by proxy."""
    tables = probes_tabular.tables(work, of)
    panel = probes_tabular.panel_of(tables, of)

    def rates(subject: ProbedModel, on_progress: OnProgress) -> SignalValues:
        rows = []
        for number, table in enumerate(tables, 1):
            rows.append(probes_tabular.probe(subject, table))
            on_progress(number, len(tables))
        values = {name: np.array([row[name] for row in rows]) for name in (rows or [{}])[0]}
        seen = subject.seen[panel.place]
        return SignalValues("tabular", subject.name, panel, seen, values, subject.known)

    jobs = [ProbeJob(subject.name, cost, partial(rates, subject)) for subject in of.subjects]
    return _done(pool, "probing tables", jobs)


def _counterfactual(work: Work, of: ProbeInput, panel: Probed, pool: WorkerPool) -> SignalValues:
    """Return the counterfactual memorization of the panel by subset models."""
    config, top = work.config, of.top
    lesson = probes_subsets.subset_rows(work, of)

    def score(number: int, on_progress: OnProgress) -> np.ndarray:
        return probes_subsets.score_one(lesson, panel, top, config.proxy, (number, on_progress))

    jobs = [ProbeJob(f"{n}", 1.0, partial(score, n)) for n in range(config.probes.subsets)]
    scores = _done(pool, "training subset models", jobs)
    values = probes_subsets.estimate(lesson, panel, scores, config.proxy.seed)
    return SignalValues("counterfactual", "subsets", panel, top.seen[panel.place], values)
