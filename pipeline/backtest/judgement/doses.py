"""The dose response of planted text, by model: memorized share with an interval, and exposure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.backtest.corpus.subject import Subject
from pipeline.backtest.training.trainings import FINAL, Training
from pipeline.score.forecast.observed import wilson
from pipeline.score.signals.exposure import exposure
from pipeline.text.arrays import Flags


def dose_rows(
    subject: Subject, trainings: Sequence[Training], models: Mapping[str, pa.Table]
) -> list[dict[str, Any]]:
    """Return the rows of `backtest_doses`; dose 0 is of clusters that no model saw.

    They are of models that were trained on all of the rest: a half has not seen every dose.
    Exposure is that of Carlini et al. 2019, among the clusters of the same part at dose 0.

    Args:
        subject: the corpus of the back-test, as trained on.
        trainings: of all models.
        models: scores by `model/mark`.
    """
    about = subject.planted.take(pa.array(np.concatenate((subject.about, subject.outside_about))))
    kind, part, cluster = (
        np.array(about[name].to_pylist(), object) for name in ("kind", "part", "cluster")
    )
    dose = np.where(about["inside"].to_numpy(), about["dose"].to_numpy(), 0)
    rows: list[dict[str, Any]] = []
    for one in (training for training in trainings if training.role != "half"):
        table = models[f"{one.name}/{FINAL}"]
        memorized, log_p = table["memorized"].to_numpy(), table["log_p_z"].to_numpy()
        for name in ("canary", "fuzzy", "template"):
            for one_part in sorted(set(part[kind == name].tolist())):
                of_part = (kind == name) & (part == one_part)
                references = log_p[of_part & (dose == 0)]
                for number in np.unique(dose[of_part]).tolist():
                    inside = of_part & (dose == number)
                    exposed = name == "canary" and number > 0
                    rows.append(
                        {
                            "model": one.name, "parameters": one.shape.parameters, "kind": name,
                            "part": one_part, "dose": number,
                            **_share(memorized, cluster, inside),
                            "exposure_bits": float(
                                np.mean([exposure(-x, -references) for x in log_p[inside]])
                            ) if exposed else None,
                        }
                    )  # fmt: skip
    return rows


def _share(memorized: Flags, cluster: np.ndarray, inside: Flags) -> dict[str, Any]:
    """Return clusters, memorized sequences and the Wilson interval over clusters of some rows."""
    clusters = len(set(cluster[inside].tolist()))
    hits = len(set(cluster[inside & memorized].tolist()))
    low, high = wilson(hits, clusters)
    return {
        "clusters": clusters, "memorized": int(memorized[inside].sum()),
        "sequences": int(inside.sum()), "low": low, "high": high,
    }  # fmt: skip
