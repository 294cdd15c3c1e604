"""Facts that someone rewrote are refused; whatever has the right form can be shown."""

import copy
import hashlib
import random
from typing import Any

import pytest

from pipeline.absent import MANIFEST
from pipeline.engine.facts import fault_of_facts
from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.errors import RunFolderError
from pipeline.report.data.finite import finite
from pipeline.report.page.risk import risk
from pipeline.run import STAGES, new_manifest
from schemas.facts import FACTS
from tests.report_runs import OUTLOOK

SEED = 5
TRIES = 400
EVIL = "\x1b]0;OWNED\x07<script>"
VALUES: tuple[Any, ...] = (
    EVIL, None, -1, 0, 7, 2**62, 2**70, 1.5, float("nan"), float("inf"), True, [], {}, [1], [1, 2],
    [EVIL, None], [{}], {"a": 1}, {"a": {"b": [1]}}, [[1], [2]],
)  # fmt: skip
RATE = {
    "sequences": 40,
    "memorized": 9,
    "rate": 0.225,
    "rate_weighted": None,
    "families": 10,
    "families_memorized": 2,
    "rate_of_families_95": [0.057, 0.51],
}
RISK = {
    "fitted": True,
    "why_not": None,
    "target": {"parameters": 7e9, "epochs": 1.0, "tokens": 16e10, "extrapolated": False}
    | {"times_the_largest_proxy": 3.5, "half_dose": 65.0, "half_dose_95": [16.25, 325.0]},
    "memorized": [{"proxy": "p0", "parameters": 9, "families_memorized": 2}],
    "memorized_by_count": [
        {"trained_on": True, "times": "1", "sequences": 4, "families": 2, "p0": 0.5}
    ],
    "base_rate": RATE,
    "floor": RATE,
    "warnings": [{"warning": "an order"}],
    "coefficients_unseen": {"log dose": 0.5},
    "held_out_unseen": {"sequences": 4, "brier": 0.125, "brier_95": [0.1, 0.2]},
    "calibration_unseen": [
        {"from": 0.0, "to": 0.5, "sequences": 4, "forecast": 0.25, "observed": 0.25}
    ],
    "outlook": OUTLOOK,
    "expected": {
        "all": {"sequences": 8, "standing_for": 9, "expected_share": 0.02}
        | {"expected_share_95": [0.01, 0.1]}
    },
}
PROXIES = {
    "proxies": [{"proxy": "p0", "role": "ladder", "parameters": 9, "final_loss": None}],
    "plants": {"clusters_inside": 5, "clusters_outside": 5, "doses": [1, 2], "sequences": 9}
    | {"share_of_training": 0.25},
    "tokenizer": {"digest": "ab", "tokens": 300},
}


def _places(value, path=()):
    """Yield the path of every fact within facts."""
    lists = enumerate(value) if isinstance(value, list) else ()
    for name, one in value.items() if isinstance(value, dict) else lists:
        yield (*path, name)
        yield from _places(one, (*path, name))


def _changed(facts, path, value):
    """Return facts with one of them changed; gone for `_changed` itself."""
    own = copy.deepcopy(facts)
    place = own
    for name in path[:-1]:
        place = place[name]
    if value is _changed:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return own


def _shown(model, proxies):
    """Write the section that shows most facts."""
    counts = {"documents": [1] * 10, "sequences": [0] * 10}
    about = {"histogram": counts, "bins": 10, "without": {"documents": 0, "sequences": 0}}
    found = {"model": finite(model), "proxies": finite(proxies), **about}
    return risk({"risk": found, "config": {"target": {}}})


def test_facts_of_the_right_form_can_be_shown():
    """Whatever fact is changed to whatever value: it is refused, or the page has it, tamed."""
    draw, refused = random.Random(SEED), 0  # noqa: S311 - a choice of tests
    for _ in range(TRIES):
        stage, facts = draw.choice([("risk", RISK), ("risk", RISK), ("sequences", PROXIES)])
        path = draw.choice(list(_places(facts)))
        own = _changed(facts, path, draw.choice([*VALUES, _changed]))
        if fault_of_facts(stage, own):
            refused += 1
            continue
        page = _shown(*((own, PROXIES) if stage == "risk" else (RISK, own)))
        assert "<script>" not in page
    assert TRIES // 4 < refused < TRIES


@pytest.mark.parametrize(
    ("stage", "facts", "fault"),
    [
        ("risk", RISK | {"base_rate": EVIL}, "facts.base_rate: a text instead of facts by name"),
        ("risk", {"why_not": None}, "facts: no fitted"),
        ("candidates", {"planted": [{"from": 2**62, "planted": 1, "proposed": 1}]},
         "facts.planted.0.from: a number instead of a share"),
        ("candidates", {"estimated_missed": {"0.5": True}},
         "facts.estimated_missed.0.5: true or false instead of a number"),
        ("windows", {"windows": -1}, "facts.windows: a number instead of a count"),
        ("decisions", {"rules": {}}, "facts.rules: facts by name instead of a list"),
        ("columns", {"groups": {"g00000": None}}, "facts.groups.g00000: nothing instead of a text"),
        ("counts", {"x": float("nan")}, "facts.x: a number that is none, or far too large"),
        ("counts", {"x": [2**63]}, "facts.x.0: a number that is none, or far too large"),
    ],
)  # fmt: skip
def test_another_form_is_told_by_its_place(stage, facts, fault):
    """The place and the kinds are named, the value is not."""
    assert fault_of_facts(stage, facts) == fault


def test_values_within_values_have_an_end():
    """A fact of a thousand levels is refused before anything goes down into it."""
    deep: list[Any] = [1]
    for _ in range(900):
        deep = [deep]
    assert "within" in fault_of_facts("counts", {"x": deep})


def test_what_was_never_recorded_is_no_fault():
    """A stage without facts, and nothing where a form allows it."""
    assert [fault_of_facts(stage, {}) for stage in STAGES] == [""] * len(STAGES)
    assert fault_of_facts("risk", RISK) == fault_of_facts("sequences", PROXIES) == ""


def test_every_form_is_of_a_stage():
    """No form is left behind when a stage gets another name."""
    assert FACTS.keys() <= STAGES.keys()


@pytest.mark.parametrize("value", [EVIL, None])
def test_a_sealed_manifest_with_other_facts_is_refused(tmp_path, value):
    """Its digest is right, and still no reader sees it."""
    entry = {"fingerprint": "", "digest": "", "rows_in": 0, "rows_out": 0, "files": []}
    own = {**new_manifest(), "outputs": {"families/all": {**entry, "facts": {"families": 3}}}}
    (tmp_path / MANIFEST).write_bytes(manifest_bytes(own))
    assert load_manifest(tmp_path) == own
    own["outputs"]["families/all"]["facts"]["families"] = value
    (tmp_path / MANIFEST).write_bytes(manifest_bytes(own))
    with pytest.raises(RunFolderError, match="damaged") as refused:
        load_manifest(tmp_path)
    assert refused.value.found.startswith("families/all: facts.families: ")


@pytest.mark.parametrize("body", ["9" * 5_000, "[" * 100_000])
def test_a_sealed_manifest_that_python_cannot_read_is_damaged(tmp_path, body):
    """A number of 5,000 digits and lists without end end json.loads by errors of its own."""
    rest = f'\n "rote": {body}'.encode()
    digest = hashlib.blake2b(rest, digest_size=16).hexdigest()
    (tmp_path / MANIFEST).write_bytes(b'{\n "digest": "' + digest.encode() + b'",' + rest)
    with pytest.raises(RunFolderError, match="damaged"):
        load_manifest(tmp_path)
