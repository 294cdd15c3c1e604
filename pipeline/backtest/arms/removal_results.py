"""The tables of the search for what must be removed: each policy and factor, each trained arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.backtest.arms.removal import Found, RemovalArm
from pipeline.backtest.arms.results import spoilt, verdict_of
from pipeline.backtest.judgement.measures import Bootstrap
from pipeline.score.forecast.bootstrap import row_weights
from pipeline.text.arrays import Float64, Int64

NATURAL = "natural"


def removal_rows(found: Found, draw: Bootstrap, vocabulary: int) -> list[dict[str, Any]]:
    """Return the rows of `backtest_removal`: policy by factor.

    A share is enough when the first seed's model memorizes so much less of the corpus's own text
    and is not spoilt; what the other seeds say of that share stands beside it.

    Args:
        found: what the search found.
        draw: of the bootstrap.
        vocabulary: tokens; a uniform guess has its logarithm as loss.
    """
    rows = []
    for policy, by_factor in found.counted.items():
        arms = [one for one in found.arms if one.policy == policy]
        for factor, counted in by_factor.items():
            enough = [one for one in arms if _enough(found, one, factor, 0, vocabulary)]
            best = min(enough, key=lambda one: one.taken, default=None)
            less = [
                one.taken
                for one in arms
                if one not in enough and (best is None or one.taken < best.taken)
            ]
            rows.append(
                {
                    "policy": policy,
                    "times_less": factor,
                    "share_counted": counted,
                    "share_too_small": max(less, default=0) / max(1, found.rows),
                    **_about(found, best, factor, draw, vocabulary),
                }
            )
    return rows


def _about(
    found: Found, arm: RemovalArm | None, factor: int, draw: Bootstrap, vocabulary: int
) -> dict[str, Any]:
    """Return what is said of the least share that was enough; nulls where none was."""
    if arm is None:
        names = ("share_of_tokens", "left", "left_low", "left_high", "seeds", "seeds_enough")
        return {**dict.fromkeys(names), "loss_target": _losses(found)[0], "loss_arm": None}
    seeds = range(len(arm.answers))
    natural = found.asked.parts(arm.taken)[NATURAL]
    plain, own = _losses(found, arm)
    return {
        "share_of_tokens": arm.taken / found.rows,
        **_left(found, arm, natural, seeds, draw),
        "seeds": len(seeds),
        "seeds_enough": sum(_enough(found, arm, factor, seed, vocabulary) for seed in seeds),
        "loss_target": plain,
        "loss_arm": own,
    }


def removal_arm_rows(found: Found, draw: Bootstrap, vocabulary: int) -> list[dict[str, Any]]:
    """Return the rows of `backtest_removal_arms`: policy, share, seed and group of text."""
    rows = []
    for arm in found.arms:
        for seed, answer in enumerate(arm.answers):
            plain = found.plain[seed]
            whole = _left(found, arm, found.asked.parts(0)[NATURAL], [seed], draw)
            low = None if whole["left_high"] is None else 1.0 - whole["left_high"]
            verdict = verdict_of(plain.loss, answer.loss, vocabulary, {"drop_low": low})
            for name, places in found.asked.parts(arm.taken).items():
                if not len(places):
                    continue
                drawn = places[-1] < len(found.asked.unit)
                rows.append(
                    {
                        "policy": arm.policy,
                        "share_of_tokens": arm.taken / found.rows,
                        "seed": found.seeds[seed],
                        "rows": name,
                        "sequences": len(places),
                        "memorized_target": int(plain.memorized[places].sum()),
                        "memorized_arm": int(answer.memorized[places].sum()),
                        **(
                            _left(found, arm, places, [seed], draw)
                            if drawn
                            else dict.fromkeys(("left", "left_low", "left_high"))
                        ),
                        "loss_target": plain.loss,
                        "loss_arm": answer.loss,
                        "verdict": verdict,
                    }
                )
    return rows


def _enough(found: Found, arm: RemovalArm, factor: int, seed: int, vocabulary: int) -> bool:
    """Return whether an arm's model of a seed memorizes so much less, and is not spoilt."""
    natural = found.asked.parts(arm.taken)[NATURAL]
    plain, own = found.plain[seed], arm.answers[seed]
    less = own.memorized[natural].sum() * factor <= plain.memorized[natural].sum()
    return bool(less) and not spoilt(plain.loss, own.loss, vocabulary)


def _losses(found: Found, arm: RemovalArm | None = None) -> tuple[float, float]:
    """Return the mean held-out loss of the plain targets and of an arm, over the arm's seeds."""
    answers = arm.answers if arm is not None else ()
    plain = found.plain[: len(answers) or 1]
    return (
        float(np.mean([one.loss for one in plain])),
        float(np.mean([one.loss for one in answers])) if answers else float("nan"),
    )


def _left(
    found: Found, arm: RemovalArm, places: Int64, seeds: Sequence[int], draw: Bootstrap
) -> dict[str, float | None]:
    """Return which part of what was memorized still is, over some seeds, with its interval."""
    plain = np.sum([found.plain[seed].memorized[places] for seed in seeds], axis=0, dtype=float)
    own = np.sum([arm.answers[seed].memorized[places] for seed in seeds], axis=0, dtype=float)
    weights = row_weights(found.asked.unit[places], draw.times(len(places)), draw.seed)
    blocks = [np.column_stack((block @ own, block @ plain)) for block in weights]
    drawn = np.concatenate(blocks) if blocks else np.zeros((0, 2))
    ratios = _ratio(drawn[:, 0], drawn[:, 1])
    ratios = ratios[np.isfinite(ratios)]
    value = _ratio(np.array([own.sum()]), np.array([plain.sum()]))[0]
    if not np.isfinite(value) or not len(ratios):
        return {"left": None, "left_low": None, "left_high": None}
    low, high = np.quantile(ratios, (0.025, 0.975))
    return {"left": float(value), "left_low": float(low), "left_high": float(high)}


def _ratio(above: Float64, below: Float64) -> Float64:
    """Return the ratio of two sums; NaN where there is nothing below."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
