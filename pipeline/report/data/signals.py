"""What probes and mitigations measured, as the report shows it: facts of their stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.engine.stage import Work
from pipeline.engine.tables import Row
from pipeline.report.data.dynamics import dynamics
from pipeline.report.data.finite import finite

NUMBERS = ("signal", "name", "times_seen", "sequences", "families", "mean", "mean_95")


def signals(work: Work, manifest: Mapping[str, Any]) -> Row | None:
    """Return `signals` of report.json; None for a run that was never scored.

    The numbers of probes are those of the largest proxy that was probed: one ladder tells the rest.
    """
    facts = manifest["outputs"].get("probes/all", {}).get("facts", {})
    if not work.paths("probes") or not facts:
        return None
    proxies = facts.get("proxies") or []
    results = [row for row in facts.get("results", []) if row["proxy"] == proxies[-1]]
    found: Row = finite(
        {
            "asked": facts["asked"],
            "why_not": facts["why_not"],
            "proxy": proxies[-1] if proxies else None,
            "sequences": facts.get("sequences", 0),
            "families": facts.get("families", 0),
            "numbers": [{key: row[key] for key in NUMBERS} for row in results],
            "by": facts.get("by"),
            "defence": facts.get("defence", []),
            "long_tail": facts["long_tail"],
            "strata": facts["strata"],
            "same_dose": facts.get("same_dose", []),
            "dynamics": dynamics(work),
        }
    )
    return found


def mitigations(work: Work, manifest: Mapping[str, Any]) -> Row:
    """Return `mitigations` of report.json: what was added for training, and how it was measured."""
    outputs, wanted = manifest["outputs"], work.config.mitigation
    decided, sealed = (
        outputs.get(f"{stage}/all", {}).get("facts", {}) for stage in ("decisions", "seal")
    )
    found: Row = finite(
        {
            "sinks": decided.get("sinks") if wanted.sink_id else None,
            "weights": wanted.weights if wanted.weights != "none" else None,
            "goldfish": _goldfish(work, outputs) if wanted.goldfish_k else None,
            "memfree": sealed.get("memfree") if wanted.memfree_n else None,
            "memfree_words": sealed.get("memfree_words") if wanted.memfree_words else None,
        }
    )
    return found


def _goldfish(work: Work, outputs: Mapping[str, Any]) -> Row:
    """Return how many tokens of kept rows are left out of the loss, and how many were to be."""
    facts = [entry["facts"] for name, entry in outputs.items() if name.startswith("emit/")]
    tokens, left_out = (
        sum(one.get(key, 0) for one in facts) for key in ("tokens", "tokens_left_out")
    )
    k = work.config.mitigation.goldfish_k
    return {
        "k": k,
        "context": work.config.mitigation.goldfish_h,
        "tokens": tokens,
        "tokens_left_out": left_out,
        "share_left_out": round(left_out / tokens, 6) if tokens else None,
        "share_asked": round(1 / k, 6),
    }
