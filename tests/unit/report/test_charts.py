"""The charts' specifications: bins in order, axes marked where there are values, no empty scale."""

from __future__ import annotations

import json
import re
from typing import Any

from pipeline.report.html.markup import Html
from pipeline.report.page.curves import curves
from pipeline.report.page.sources import _by_risk

BIN = {"documents": 3, "text_bytes": 0}


def specs(page: Html) -> list[dict[str, Any]]:
    """Return the specifications in some markup."""
    return [
        json.loads(text) for text in re.findall(r'class="spec">(.+?)</script>', page, re.DOTALL)
    ]


def law(name: str, at: int, share: float, high: float) -> dict[str, Any]:
    """Return one point of a curve, of three families."""
    ends = {"share": share, "low": share, "high": high}
    return {"law": name, "proxy": "p0", "at": at, "sequences": 9, "families": 3, **ends}


def data() -> dict[str, Any]:
    """Return what the section on dose, size and context shows; a largest count lies in a bin."""
    exact = [
        {"from": 65, "to": 128, "largest": 100, **BIN},
        {"from": 2, "to": 2, "largest": 2, **BIN},
    ]
    near = [{"from": 65, "to": 128, "largest": 128, **BIN}]
    return {
        "corpus": {"documents": 10},
        "copies": {"exact_count": exact, "near_count": near, "max_window_count": []},
        "config": {"window": {"words": 50}},
        "risk": {
            "model": {},
            "laws": [law("dose", 0, 0.0, 0.1), law("dose", 1, 0.5, 0.6), law("dose", 2, 1.0, 1.0)],
        },
    }


def test_a_bin_is_one_for_all_measures_and_bins_are_in_order() -> None:
    """The largest count makes no bin of its own, and the order is by the bin's least count."""
    drawn = specs(curves(data()))[0]
    assert {row["times"] for row in drawn["data"]["values"]} == {"2", "65\N{EN DASH}128"}
    assert drawn["encoding"]["x"]["sort"] == {"field": "order", "op": "min"}
    assert drawn["encoding"]["y"]["axis"]["tickMinStep"] == 1


def test_an_axis_is_marked_at_its_values_and_not_below_one() -> None:
    """Half a step before once stands what was never seen: it has no number."""
    page = curves(data())
    axis = specs(page)[1]["layer"][1]["encoding"]["x"]["axis"]
    assert axis["values"] == [0.5, 1, 2]
    assert axis["labelExpr"].startswith("datum.value < 1 ? ''")


def test_an_interval_without_width_is_told_in_words() -> None:
    """Where all families are alike a bootstrap has no width: that is no interval."""
    page = curves(data())
    assert "all 3 families alike" in page
    assert "100.0% to 100.0%" not in page


def test_a_chart_of_nothing_has_a_scale() -> None:
    """Sources without a token at risk are drawn from 0 to 1."""
    row = {"source_group": "a", "documents": 2, "risky": 0, "largest": 0.0, "expected_tokens": 0}
    (drawn,) = specs(_by_risk([row, {**row, "source_group": "b"}]))
    assert drawn["encoding"]["x"]["scale"] == {"domain": [0, 1]}
