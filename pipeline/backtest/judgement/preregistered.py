"""The declaration of what will be compared, and at which thresholds, before a target is trained.

Once a target is trained, another declaration is refused: otherwise a threshold could be chosen by
looking at its result.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.backtest.judgement.evidence import (
    BASE_RATE,
    EARLY_P,
    FORECASTS,
    LOG_COUNT,
    LOG_EFFECTIVE,
    PROXY_FLAG,
    PROXY_P,
)
from pipeline.backtest.sizes import Size
from pipeline.backtest.training.trainings import TARGET
from pipeline.config.sections import Config
from pipeline.engine.files import write_file
from pipeline.errors import ConfigError

NAME = "declared.json"
PRECISION = 0.90
MARGIN = 0.02
ERRORS = 100
HEADLINE = "natural + fuzzy + template"
STRATA = {
    HEADLINE: ("natural", "fuzzy", "template"),
    "natural": ("natural",),
    "fuzzy": ("fuzzy",),
    "template": ("template",),
    "canary": ("canary",),
    "all": ("natural", "fuzzy", "template", "canary"),
}
DOSES = {"all": (1, 1 << 40), "1": (1, 1), "2-9": (2, 9), "10+": (10, 1 << 40)}
RANKERS = (
    LOG_COUNT, LOG_EFFECTIVE, PROXY_P, "Min-K%", "Min-K%++", "zlib ratio", EARLY_P,
)  # fmt: skip
AP, AT_FLAG, AT_MARGIN = (
    "average precision",
    "recall at the flag's precision",
    "recall at max(0.90, flag's precision - 0.02)",
)
RECALL, BRIER = "recall", "Brier skill"


def comparisons() -> list[dict[str, str]]:
    """Return the declared comparisons, all on the headline stratum: Holm is over them."""
    found = []
    for name in FORECASTS:
        found += [{"forecast": name, "metric": AP, "baseline": ranker} for ranker in RANKERS]
        found += [
            {"forecast": name, "metric": metric, "baseline": PROXY_FLAG}
            for metric in (AT_MARGIN, AT_FLAG)
        ]
        found.append({"forecast": name, "metric": BRIER, "baseline": BASE_RATE})
    return [{"stratum": HEADLINE, **one} for one in found]


def declaration(size: Size, config: Config) -> dict[str, Any]:
    """Return what is declared for a size and a configuration."""
    return {
        "size": size.name,
        "rows": size.rows,
        "clusters": size.clusters,
        "precision": PRECISION,
        "margin_below_flag_precision": MARGIN,
        "errors": ERRORS,
        "draws": config.backtest.draws,
        "seed": config.proxy.seed,
        "target_ratio": config.backtest.target_ratio,
        "filter_share": config.backtest.filter_share,
        "strata": {name: list(kinds) for name, kinds in STRATA.items()},
        "doses": {name: list(ends) for name, ends in DOSES.items()},
        "comparisons": comparisons(),
    }


def declare(folder: Path, declared: dict[str, Any], trained: list[str]) -> None:
    """Write the declaration, or compare it with the one that is there.

    Args:
        folder: of the back-test.
        declared: the declaration.
        trained: outputs of targets; with any of them another declaration is refused.

    Raises:
        ConfigError: when it differs from the one that a target was trained after.
    """
    path = folder / NAME
    text = json.dumps(declared, indent=1, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    if path.is_file() and trained:
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(
            key for key in {*before, *declared} if before.get(key) != declared.get(key)
        )
        raise ConfigError(
            "What this back-test compares was declared before its target was trained; "
            "it cannot be changed afterwards.",
            where=str(path),
            found=f"other values of: {', '.join(differing)}",
            fix=f"go on with the declared settings, or remove {folder} to begin anew",
        )
    write_file(folder, ".", NAME, text.encode())


def targets(names: list[str]) -> list[str]:
    """Return the outputs among `names` that are trained targets."""
    return [name for name in names if name == f"train/{TARGET}"]
