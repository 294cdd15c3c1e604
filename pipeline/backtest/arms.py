"""The arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.backtest.evidence import Evidence
from pipeline.backtest.ledger import Ledger, Output
from pipeline.backtest.material import Subject
from pipeline.backtest.models import School, Training
from pipeline.config import Config
from pipeline.errors import ConfigError

ARMS = ("filter", "random", "count", "goldfish", "sinks")


@dataclass(frozen=True)
class Arms:
    ledger: Ledger
    school: School
    config: Config
    subject: Subject
    target: Training
    corpus: Output


def require_arms(names: Sequence[str]) -> None:
    """Refuse arms that do not exist."""
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise ConfigError(
            "There is no such arm of the back-test.",
            where=f"--arms {','.join(names)}",
            found=", ".join(unknown),
            expected=", ".join(ARMS),
            fix="name some of these, separated by commas",
        )


def arm_rows(
    armed: Arms, names: Sequence[str], found: Evidence, models: Mapping[str, pa.Table]
) -> dict[str, Any]:
    return {}
