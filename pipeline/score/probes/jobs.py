"""Probes as jobs for a crew: every signal of every proxy, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from pipeline.engine.stage import Work
from pipeline.score.probes import counterfactual as probes_subsets
from pipeline.score.probes import tabular as probes_tabular
from pipeline.score.probes.aggregates import Found
from pipeline.score.probes.cost import passes
from pipeline.score.probes.measures import MEASURES
from pipeline.score.probes.panel import Probed, Scene, Subject
from pipeline.score.proxy.pool import Crew

Hear = Callable[[int, int], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Job(Generic[Result]):
    """A part of the work. cost: in passes; run: hears how far it is."""

    name: str
    cost: float
    run: Callable[[Hear], Result]


def ask(work: Work, of: Scene, panel: Probed, crew: Crew) -> list[Found]:
    """Return what the proxies say, in the order of the proxies and of the signals asked for."""
    config, costs = work.config, passes(work.config, 1)
    jobs = [
        Job(
            f"{subject.name} {signal}",
            costs[signal],
            partial(_measured, subject, signal, panel, work),
        )
        for subject in of.subjects
        for signal in config.probes.signals
        if signal in MEASURES
    ]
    found = _done(crew, "probing", jobs)
    if "tabular" in config.probes.signals:
        found += _of_tables(work, of, crew, costs["tabular"])
    if "counterfactual" in config.probes.signals:
        found.append(_counterfactual(work, of, panel, crew))
    return found


def _done(crew: Crew, note: str, jobs: list[Job[Result]]) -> list[Result]:
    def do(job: Job[Result]) -> Result:
        hear = crew.hearing(job.name, job.cost)
        result = job.run(hear)
        hear(1, 1)
        return result

    return crew.map(note, do, jobs, lambda job: job.cost)


def _measured(subject: Subject, signal: str, panel: Probed, work: Work, hear: Hear) -> Found:
    config = work.config
    values = MEASURES[signal](subject, panel, config.probes, config.proxy.seed, hear)
    return Found(signal, subject.name, panel, subject.seen[panel.place], values)


def _of_tables(work: Work, of: Scene, crew: Crew, cost: float) -> list[Found]:
    tables = probes_tabular.tables(work, of)
    panel = probes_tabular.panel_of(tables, of)

    def rates(subject: Subject, hear: Hear) -> Found:
        rows = []
        for number, table in enumerate(tables, 1):
            rows.append(probes_tabular.probe(subject, table))
            hear(number, len(tables))
        values = {name: np.array([row[name] for row in rows]) for name in (rows or [{}])[0]}
        return Found("tabular", subject.name, panel, subject.seen[panel.place], values)

    jobs = [Job(subject.name, cost, partial(rates, subject)) for subject in of.subjects]
    return _done(crew, "probing tables", jobs)


def _counterfactual(work: Work, of: Scene, panel: Probed, crew: Crew) -> Found:
    config, top = work.config, of.top
    lesson = probes_subsets.lesson(work, of)

    def score(number: int, hear: Hear) -> np.ndarray:
        return probes_subsets.score_one(lesson, panel, top, config.proxy, (number, hear))

    jobs = [Job(f"{n}", 1.0, partial(score, n)) for n in range(config.probes.subsets)]
    scores = _done(crew, "training subset models", jobs)
    values = probes_subsets.estimate(lesson, panel, scores, config.proxy.seed)
    return Found("counterfactual", "subsets", panel, top.seen[panel.place], values)
