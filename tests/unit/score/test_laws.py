"""Curves of dose and size on panels whose truth is planted."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from pipeline.score.forecast.features import ScoredPanel, Seen
from pipeline.score.forecast.laws import laws, memorized_share
from schemas.score.contexts import CONTEXTS
from schemas.score.laws import LAWS

SIZES = (10_000, 40_000, 160_000)


def panel(families=400, seed=2, slope=1.0):
    """Return a panel of two sequences a family: log odds rise with log2 dose and log4 size."""
    random = np.random.default_rng(seed)
    family = np.repeat(np.arange(families), 2)
    dose = np.where(family % 5 == 0, 0.0, 2.0 ** (family % 6))
    seen = []
    for rung, size in enumerate(SIZES):
        chance = expit(-4 + slope * np.log2(np.maximum(dose, 1)) + rung)
        hit = (random.random(len(dose)) < chance) & (dose > 0)
        seen.append(
            Seen(
                f"p{rung}",
                "ladder",
                size,
                10**6,
                dose,
                np.zeros(len(dose)),
                hit,
                np.zeros(len(dose)),
            )
        )
    count = np.maximum(dose, 1)
    ones, none = np.ones(len(dose)), np.zeros(len(dose), np.bool_)
    return ScoredPanel(
        count, count, count, count, ones, count, count, count, none, family, tuple(seen)
    )


def nowhere():
    """Return contexts without a row."""
    return CONTEXTS.empty_table()


def test_a_longer_context_is_a_point_of_its_own():
    """Shares are by proxy and prefix; what no row stands for has no point."""
    rows = [
        {"row_key": row, "start_token": 0, "family": f"f{row // 2}", "proxy": proxy, "seen": 4,
         "prefix_tokens": prefix, "memorized": row * 4 < prefix, "log_p_z": -1.0}
        for proxy in ("p0", "p1") for prefix in (8, 32) for row in range(8)
    ]  # fmt: skip
    table, _ = laws(panel(), pa.Table.from_pylist(rows, schema=CONTEXTS), seed=1)
    found = [row for row in table.to_pylist() if row["law"] == "context"]
    assert [(r["proxy"], r["at"], r["share"], r["families"]) for r in found] == [
        ("p0", 8.0, 0.25, 4), ("p0", 32.0, 1.0, 4), ("p1", 8.0, 0.25, 4), ("p1", 32.0, 1.0, 4),
    ]  # fmt: skip


def test_the_curves_find_what_was_planted():
    """Slope per doubling and dose of half are in their intervals; larger models know more."""
    table, facts = laws(panel(), nowhere(), seed=1)
    rows = table.cast(LAWS).to_pylist()
    for rung, law in enumerate(facts["dose"]):
        assert law["logits_per_doubling_95"][0] <= 1.0 <= law["logits_per_doubling_95"][1]
        low, high = law["log2_dose_of_half_95"]
        assert low <= 4 - rung <= high
    assert facts["size"]["share_per_tenfold_size_95"][0] > 0
    by_size = [row["share"] for row in rows if row["law"] == "size"]
    assert by_size == sorted(by_size)
    doses = [row for row in rows if row["law"] == "dose" and row["proxy"] == "p2"]
    assert [row["at"] for row in doses] == [0, 1, 2, 4, 8, 16, 32]
    assert all(row["low"] <= row["share"] <= row["high"] for row in rows)


def test_a_dose_without_a_memorized_sequence_keeps_an_upper_end():
    """Nothing in n families is told as 0 to 3/n, never as certainly nothing."""
    own = memorized_share(np.zeros(40, bool), np.repeat(np.arange(20), 2), seed=1)
    assert (own.share, own.low) == (0.0, 0.0)
    assert own.high == pytest.approx(3 / 20)
    assert (own.sequences, own.families) == (40, 20)


def test_the_interval_is_over_families():
    """A hundred sequences of one family are one observation: copies make nothing more certain."""
    hit, family = np.arange(40) % 2 == 0, np.arange(40)
    one = memorized_share(hit, family, seed=1)
    many = memorized_share(np.repeat(hit, 100), np.repeat(family, 100), seed=1)
    assert (many.low, many.high) == (one.low, one.high)
    assert one.high - one.low > 0.2


def test_nothing_memorized_fits_no_curve():
    """Without a memorized sequence the dose law says that it was not fitted."""
    none = panel()
    nothing = tuple(replace(own, memorized=np.zeros(800, bool)) for own in none.proxies)
    told = laws(replace(none, proxies=nothing), nowhere(), 1)[1]
    assert [law["fitted"] for law in told["dose"]] == [False] * 3
