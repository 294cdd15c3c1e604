"""The stage of the expensive measures: a panel of sequences, probed in many ways on request.

No model is loaded when none is asked for: then there is the long-tail report alone. The cost is
said before anything begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.engine.progress import current
from pipeline.engine.stage import Receipt, Work
from pipeline.engine.tables import write_table
from pipeline.score.probes.cost import lines, pass_seconds, passes
from pipeline.score.probes.long_tail import long_tail
from pipeline.score.probes.same_dose import same_dose
from pipeline.score.probes.strata import strata
from schemas.score.probes import PROBES

if TYPE_CHECKING:
    from pipeline.score.probes.aggregates import SignalValues

VERSION = 5
NO_PROXY = "the run has no proxy, or no sequence was scored"
KEYS = ("row_key", "start_token", "proxy", "signal", "name")


def probes(work: Work) -> Receipt:
    """Write `probes`, empty when no signal is asked for (a reduce stage)."""
    signals = work.config.probes.signals
    found: list[SignalValues] = []
    facts: dict[str, Any] = {
        "asked": list(signals),
        "why_not": None,
        "long_tail": long_tail(work),
        "strata": strata(work),
        "same_dose": same_dose(work, work.config.proxy.seed),
    }
    if signals:
        found, about = _probed(work)
        facts |= about
    with write_table(work.folder, "probes", work.key, PROBES) as out:
        out.write(_long(found))
    return Receipt((out.record,), facts.get("sequences", 0), out.rows, facts)


def _probed(work: Work) -> tuple[list[SignalValues], dict[str, Any]]:
    """Return the numbers of all signals that were asked for, and the facts."""
    from pipeline.score.probes.aggregates import aggregates
    from pipeline.score.probes.jobs import probe_all
    from pipeline.score.probes.panel import probe_input, read_panel
    from pipeline.score.probes.soft_prompt import cost_curve
    from pipeline.score.proxy.ensemble import cores_for
    from pipeline.score.proxy.pool import WorkerPool, torch_threads

    config = work.config
    with torch_threads(config.proxy.threads):
        of = probe_input(work)
        if of is None:
            return [], {"why_not": NO_PROXY}
        cores = cores_for(config.proxy, work.cores)
        pool = WorkerPool(cores, config.proxy.threads, current().advance)
        pass_s = pass_seconds(of.top) / pool.workers
        for line in lines(config, len(of.subjects), pass_s):
            current().message(line)
        panel = read_panel(work, of, config.probes.panel)
        found = probe_all(work, of, panel, pool)
    facts = {
        "sequences": len(panel.place),
        "families": len(np.unique(panel.family)),
        "proxies": [subject.name for subject in of.subjects],
        "by": "times trained on" if of.top.known else "occurrences in the corpus",
        "passes_at_most": passes(config, len(of.subjects)),
        "defence": [
            row
            for one in found
            if one.signal == "soft_defence" and one.proxy == of.top.name
            for row in cost_curve(one, config.proxy.seed)
        ],
        "results": [row for one in found for row in aggregates(one, config.proxy.seed)],
    }
    return found, facts


def _long(found: list[SignalValues]) -> pa.Table:
    """Return the numbers in long form, in order; those that do not exist are left out."""
    parts = [
        {
            "row_key": one.panel.row_key[own],
            "start_token": one.panel.start_token[own],
            "proxy": np.full(len(own), one.proxy, object),
            "seen": one.seen[own] if one.known else pa.nulls(len(own), pa.int64()),
            "signal": np.full(len(own), one.signal, object),
            "name": np.full(len(own), name, object),
            "value": values[own],
        }
        for one in found
        for name, values in one.values.items()
        for own in [np.flatnonzero(~np.isnan(values))]
        if len(own)
    ]
    if not parts:
        return PROBES.empty_table()
    table = pa.concat_tables([pa.table(part) for part in parts])
    return table.sort_by([(key, "ascending") for key in KEYS])
