"""The declaration of what will be compared, and by which forecast, before a target is trained.

Once a target is trained, another declaration is refused: otherwise a threshold, a feature or a line
of the forecast's code could be chosen by looking at its result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.backtest import judgement
from pipeline.backtest.judgement.evidence import PROXY_FLAG, RANKERS
from pipeline.backtest.judgement.forecasts import FEATURES, FORECASTS
from pipeline.backtest.judgement.measures import PROMISES
from pipeline.backtest.judgement.strata import HEADLINE, STRATA
from pipeline.config.sections import Config
from pipeline.engine.files import write_whole
from pipeline.errors import ConfigError
from pipeline.score import forecast

NAME = "declared.json"
BASE_RATE = "base rate"
AP, BRIER, RECALL = "average precision", "Brier skill", "recall"
AT_FLAG, AT_PROMISE = "recall at the flag's precision", "recall at precision 0.90"
ERRORS = 100
CODE = (forecast, judgement)  # packages: the fit, and how it is judged


def comparisons() -> list[dict[str, str]]:
    """Return the declared comparisons, all on the headline stratum: Holm is over them."""
    found = []
    for name in FORECASTS:
        found += [{"forecast": name, "metric": AP, "baseline": ranker} for ranker in RANKERS]
        found.append({"forecast": name, "metric": AT_FLAG, "baseline": PROXY_FLAG})
        found.append({"forecast": name, "metric": BRIER, "baseline": BASE_RATE})
    return [{"stratum": HEADLINE, **one} for one in found]


def declaration(
    targets: Sequence[str], identity: Mapping[str, str], config: Config
) -> dict[str, Any]:
    """Return what is declared.

    Args:
        targets: names of the targets that will be trained.
        identity: digests of the outputs of the run that all follows from.
        config: the settings.
    """
    return {
        "targets": list(targets),
        "run": dict(identity),
        "code": code_digests(),
        "features": {name: list(FEATURES[name]) for name in FORECASTS},
        "promises": list(PROMISES),
        "errors": ERRORS,
        "draws": config.backtest.draws,
        "seed": config.proxy.seed,
        "strata": {name: list(values) for name, values in STRATA.items()},
        "headline": HEADLINE,
        "comparisons": comparisons(),
    }


def code_digests() -> dict[str, str]:
    """Return a digest of each source file that makes a forecast or judges it, by its module."""
    found = {}
    for package in CODE:
        for folder in package.__path__:
            for path in sorted(Path(folder).glob("*.py")):
                name = f"{package.__name__}.{path.stem}"
                found[name] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return found


def digest_of_declaration(declared: Mapping[str, Any]) -> str:
    """Return the digest by which a declaration is named in a result."""
    return hashlib.blake2b(_text(declared).encode(), digest_size=16).hexdigest()


def declare(folder: Path, declared: dict[str, Any], trained: Iterable[str]) -> None:
    """Write the declaration, or compare it with the one that is there.

    Args:
        folder: of the back-test.
        declared: the declaration.
        trained: outputs of targets; with any of them another declaration is refused.

    Raises:
        ConfigError: when it differs from the one that a target was trained after, or that is gone.
    """
    path, text = folder / NAME, _text(declared)
    there = path.read_text(encoding="utf-8") if path.is_file() else ""
    if there == text:
        return
    done = sorted(trained)
    if done:
        raise ConfigError(
            "What this back-test compares was declared before its targets were trained; "
            "it cannot be changed afterwards.",
            where=str(path),
            found=_differing(there, declared),
            expected=f"the declaration that came before {', '.join(done)}",
            fix=f"go on with the declared settings and version, or remove {folder} to begin anew",
        )
    write_whole(path, text.encode())


def _differing(there: str, declared: Mapping[str, Any]) -> str:
    """Return what is another value than was declared, in words."""
    if not there:
        return "no declaration"
    try:
        before = json.loads(there)
    except ValueError:
        return "a declaration that is no JSON"
    keys = sorted(key for key in {*before, *declared} if before.get(key) != declared.get(key))
    named = []
    for key in keys:
        values = before.get(key), declared.get(key)
        if all(isinstance(value, dict) for value in values):
            old, new = (dict(value or {}) for value in values)
            own = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
            named.append(f"{key} ({', '.join(own)})")
        else:
            named.append(key)
    return f"other values of: {', '.join(named)}"


def _text(declared: Mapping[str, Any]) -> str:
    return json.dumps(declared, indent=1, sort_keys=True) + "\n"
