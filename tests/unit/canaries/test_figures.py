"""The figures of a check: literal values, and what they are where nothing was learnt."""

from typing import Any

import numpy as np
import pytest

from pipeline.canaries.checked import figures
from pipeline.canaries.checked.figures import Panel
from pipeline.canaries.checked.verdict import verdict

UNFITTED = {"fitted": False, "why_not": "never scored"}
FITTED = {"fitted": True, "why_not": None, "target": {"extrapolated": False}}


def panel(doses, *, pairs, log_p, recited=None, risk=None, references=0):
    """Return a panel of one kind: of each dose so many pairs, then references.

    log_p, recited: functions of dose, inside and number of the pair.
    """
    rows = [
        (dose, place, inside, log_p(dose, inside, place))
        for place, dose in enumerate(dose for dose in doses for _ in range(pairs))
        for inside in (True, False)
    ]
    rows += [(0, -1, False, log_p(0, False, n)) for n in range(references)]
    dose, pair, inside, values = (np.array(column) for column in zip(*rows, strict=True))
    said = [bool(recited and recited(d, i, p)) for d, p, i, _ in rows]
    given = np.full((len(rows), 3), np.nan)
    if risk is not None:
        given[pair >= 0] = [risk(d) for d, p, _, _ in rows if p >= 0]
    return Panel(
        np.full(len(rows), "random", object),
        pair,
        dose,
        inside,
        np.array(said),
        pair >= 0,
        values.astype(float),
        given,
    )


def test_a_model_that_learnt_all_of_them_has_the_largest_exposure():
    """Each canary is above all 7 that stayed outside: 3 bits; twins are told apart for certain."""
    of = panel((1, 4), pairs=2, log_p=lambda _d, i, p: -1.0 if i else -50.0 - p, references=3)
    rows = figures.exposures(of)
    assert [(row["dose"], row["bits"], row["references"]) for row in rows] == [
        (0, 3.0, 7),
        (1, 3.0, 7),
        (4, 3.0, 7),
    ]
    assert {row["auc"] for row in figures.recognition(of)} == {1.0}
    assert figures.preferred(of) == {"pairs": 4, "inside_more_probable": 4, "p": 1 / 16}


def test_exposure_is_the_log_of_the_places_above():
    """Third of four has log2 4 - log2 3 bits; equal ones do not count against it."""
    values = {(True, 0): -3.0, (False, 0): -1.0}
    of = panel(
        (2,), pairs=1, log_p=lambda _d, i, p: values.get((i, p), -2.0 if p else -3.0), references=2
    )
    own = of.log_p.copy()
    own[-2:] = (-2.0, -3.0)
    of = Panel(**{**vars(of), "log_p": own})
    [whole, one] = figures.exposures(of)
    assert whole["bits"] == one["bits"] == pytest.approx(2 - np.log2(3))
    assert one["untrained_bits"] == pytest.approx(2 - np.log2([1, 2, 3, 4]).mean())


def test_what_was_not_learnt_has_the_exposure_of_chance():
    """Over 300 pairs of noise: its mean and one half are within their intervals."""
    random = np.random.default_rng(5)
    of = panel((1, 2, 4), pairs=100, log_p=lambda *_: random.normal(), references=200)
    whole = figures.exposures(of)[0]
    assert whole["untrained_bits"] == pytest.approx(np.log2(np.e), abs=0.03)
    assert whole["bits_95"][0] < whole["untrained_bits"] < whole["bits_95"][1]
    assert whole["bits_95"][1] - whole["bits_95"][0] < 0.6
    area = figures.recognition(of)[0]
    assert area["auc_95"][0] < 0.5 < area["auc_95"][1]
    assert area["auc_95"][1] - area["auc_95"][0] < 0.12
    coin = figures.preferred(of)
    assert coin is not None
    assert 0.01 < coin["p"] < 0.99


def test_the_area_is_taken_within_each_kind():
    """Natural text is more probable than random text, inside or outside: that tells nothing."""
    low = panel((1,), pairs=2, log_p=lambda _d, i, p: -100.0 - (p == 0) * (1 if i else -1) - p)
    high = panel((1,), pairs=2, log_p=lambda _d, i, p: -10.0 - p - (0.5 if i else 0.0))
    both = {name: np.concatenate([getattr(x, name) for x in (low, high)]) for name in vars(low)}
    both["kind"] = np.repeat(np.array(["random", "natural"], object), 4)
    both["pair"] = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    found = figures.recognition(Panel(**both))[0]
    each = []
    for one in (low, high):
        inside, outside = one.log_p[one.inside], one.log_p[~one.inside]
        wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
        each.append(wins.mean())
    assert found["auc"] == pytest.approx(np.mean(each))


def test_extraction_is_counted_by_dose_and_of_twins():
    """With Wilson's interval, and three over n where none is recited."""
    of = panel((1, 8), pairs=5, log_p=lambda *_: -1.0, recited=lambda d, i, _p: i and d == 8)
    rows = {row["dose"]: row for row in figures.extraction(of)}
    assert [(d, row["canaries"], row["recited"]) for d, row in rows.items()] == [
        (0, 10, 0),
        (1, 5, 0),
        (8, 5, 5),
    ]
    assert rows[0]["share_95"] == pytest.approx([0.0, 0.3])
    assert rows[8]["share_95"] == pytest.approx([0.5655, 1.0], abs=1e-4)


def test_a_forecast_that_is_right_holds_and_one_that_is_not_does_not():
    """Expected .25 at dose 1 and .75 at dose 8; so many come, and then none does."""
    risks = {1: (0.25, 0.2, 0.3), 8: (0.75, 0.7, 0.8)}

    def came(dose, inside, pair):
        return inside and pair % 4 < (1 if dose == 1 else 3)

    of = panel((1, 8), pairs=40, log_p=lambda *_: -1.0, recited=came, risk=risks.get)
    found = figures.calibration(of)
    assert found is not None
    assert (found["expected"], found["observed"], found["holds"]) == (0.5, 0.5, True)
    assert found["brier"] == pytest.approx(3 / 16)
    assert found["brier_of_base_rate"] == pytest.approx(1 / 4)
    assert found["expected_less_observed"] == 0.0
    assert found["expected_less_observed_95"][0] < 0 < found["expected_less_observed_95"][1]
    assert [(row["dose"], row["expected"], row["observed"]) for row in found["by_dose"]] == [
        (1, 0.25, 0.25),
        (8, 0.75, 0.75),
    ]
    low, high = found["drawn_95"]
    assert low < found["expected_95"][0] < 0.5 < found["expected_95"][1] < high
    of = panel((1, 8), pairs=40, log_p=lambda *_: -1.0, risk=risks.get)
    missed = figures.calibration(of)
    assert missed is not None
    assert missed["holds"] is False
    assert figures.calibration(panel((1,), pairs=2, log_p=lambda *_: -1.0)) is None


@pytest.mark.parametrize(
    ("recited", "twins", "wins", "holds", "expected"),
    [
        (9, 0, 20, True, "The model was trained on the canaries: it recites 9 of 20"),
        (9, 0, 20, True, "the forecast held: 40.0% [20.0%, 60.0%] were expected"),
        (19, 0, 20, False, "the forecast was too low"),
        (0, 0, 11, False, "No trace of the canaries"),
        (0, 0, 11, False, "says nothing of the forecast unless they were mixed in"),
        (0, 0, 20, False, "the forecast was too high"),
        (9, 2, 20, True, "2 of 20 twins that were kept out are recited, too"),
    ],
)
def test_the_verdict_is_one_sentence(recited, twins, wins, holds, expected):
    """What was learnt, whether the forecast held, and whether twins are recited."""
    p = {20: 1e-6, 11: 0.4}[wins]
    found = {
        "extraction": [
            {"dose": 0, "recited": twins, "canaries": 20},
            {"dose": 4, "recited": recited, "canaries": 20},
        ],
        "preferred": {"pairs": 20, "inside_more_probable": wins, "p": p},
        "forecast": FITTED,
        "calibration": {
            "expected": 0.4,
            "observed": recited / 20,
            "drawn_95": [0.2, 0.6],
            "holds": holds,
        },
    }
    said = verdict(found)
    assert expected in said
    assert said.count(". ") == 0
    assert said.endswith(".")


def test_without_a_forecast_or_an_answer_the_verdict_says_so():
    """Neither is made up."""
    found: dict[str, Any] = {
        "extraction": [],
        "preferred": None,
        "calibration": None,
        "forecast": UNFITTED,
    }
    assert verdict(found) == "Nothing can be said: no canary inside has an answer."
    found["preferred"] = {"pairs": 9, "inside_more_probable": 9, "p": 0.001}
    assert "no forecast to hold against that" in verdict(found)
