"""The forecast: honest when there is too little to fit, and right where the truth is planted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

from pipeline.config.load import load_config
from pipeline.engine.files import write_file
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, write_table
from pipeline.score.forecast import features, laws, logistic, scaling
from pipeline.score.forecast.logistic import folds
from pipeline.score.forecast.risk import risk
from pipeline.score.signals.wilson import wilson
from schemas.scan.counts import COUNTS
from schemas.score.plants import PLANTS
from schemas.score.risk import DOCUMENT_RISK
from schemas.score.sequences import SEQUENCES, SURFACE

FAMILIES = 200
PER_FAMILY = 4
EPOCHS = 3
SIZES = {"p0": 10_000, "p1": 40_000, "p2": 160_000}
UNTRAINED = 40
TOKENS = {"ladder": 600_000, "early": 200_000, "half": 300_000}
TWINS = (1, 2, 4, 8, 16, 64)
NEAR = (f"target.parameters={8 * SIZES['p2']}", "target.tokens=1200000")


@dataclass(frozen=True)
class Forecast:
    """What the stage wrote, with its facts and the table that it was given."""

    table: pa.Table
    facts: dict[str, Any]
    risk: pa.Table
    documents: pa.Table
    files: dict[str, bytes]

    def values(self, name):
        """Return a column of `risk`, NaN for null."""
        return self.risk[name].to_numpy()


def proxies():
    """Return name, role, parameters, epochs and halves of each proxy of the ladder and the pair."""
    found = []
    for name, size in SIZES.items():
        found.append((name, "ladder", size, EPOCHS, (0, 1)))
        found.append((f"{name}-early", "early", size, 1, (0, 1)))
    return [*found, *((f"half-{s}", "half", 40_000, EPOCHS, (n,)) for n, s in enumerate("ab"))]


def simulate(most_memorized=None, seed=3):
    """Return the columns of a panel in which dose, size and ease raise what is memorized.

    The last families are of no proxy's training. most_memorized: families that the largest proxy
    memorized at most.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    family = np.repeat(np.arange(FAMILIES), PER_FAMILY)
    count = 2.0 ** random.integers(0, 6, FAMILIES)[family]
    trained, half = family < FAMILIES - UNTRAINED, family % 2
    ease = random.normal(0, 1, len(family))
    seen = {}
    for name, role, size, epochs, halves in proxies():
        dose = np.where(trained & np.isin(half, halves), count * epochs, 0)
        logit = -7 + 1.4 * np.log(dose + 0.1) + np.log(size / 10_000) + ease
        memorized = (random.random(len(family)) < expit(logit)) & (dose > 0)
        if most_memorized is not None and name == "p2":
            memorized &= np.isin(family, np.unique(family[memorized])[:most_memorized])
        log_p = -32 * np.log1p(np.exp(-0.4 * logit + random.normal(0, 0.3, len(family))))
        scored = np.ones(len(family), bool) if role != "early" else dose > 0
        seen[name] = (dose.astype(int), log_p, memorized, scored)
    extra = {name: count * random.uniform(1, 1.4, len(count)) for name in ("effective", "suffix")}
    return family, count, extra, seen


def sequences(most_memorized=None):
    """Return a table `sequences` of the simulation, then twins of a row that differ in count.

    The twins are of an unseen and of a seen sequence: equal but for `sequence_count`.
    """
    family, count, extra, seen = simulate(most_memorized)
    rows = []
    for row in range(len(family)):
        own = [
            statistics(name, *(column[row] for column in columns[:3]))
            for name, columns in seen.items()
            if columns[3][row]
        ]
        rows.append(
            place(row, family[row], own, count[row], extra["effective"][row], extra["suffix"][row])
        )
    middle = next(row for row in rows if row["sequence_count"] == 8)
    for model in (rows[-1], middle):
        rows += [
            {**model, "row_key": len(rows) + number, "sequence_count": copies}
            for number, copies in enumerate(TWINS)
        ]
    return conform(pa.Table.from_pylist(rows, schema=SEQUENCES), SEQUENCES)


def statistics(name, seen, log_p, memorized):
    """Return what one proxy says of one sequence."""
    return {
        "proxy": name,
        "seen": int(seen),
        "log_p_z": log_p,
        "memorized": bool(memorized),
        "run_length": 32 if memorized else 3,
        "margin": 0.1,
        "mean_nll": 1.0,
        "min_k": -3.0,
        "min_k_pp": -1.0,
        "entropy": 1.0,
        "mean_rank": 2.0,
    }


def place(number, family, own, count, effective, suffix):
    """Return a row of `sequences`; two in each document."""
    return {
        "row_key": number // 2,
        "start_byte": number % 2 * 100,
        "start_token": number % 2 * 32,
        "end_byte": number % 2 * 100 + 200,
        "suffix_byte": number % 2 * 100 + 100,
        "document_sequences": 4,
        "gap_bits": None,
        "family": f"{family:032x}",
        "stratum": "repeated",
        "weight": float(count),
        "sequence_count": int(count),
        "suffix_count": int(suffix),
        "rarest_count": int(suffix),
        "window_count": int(count),
        "effective_count": effective,
        "zlib_bits_per_byte": 4.0,
        **{field.name: 0.5 for field in SURFACE},
        "proxies": own,
    }


def documents(keys):
    """Return a table `counts` of the documents, the last of which is a copy of the first."""
    rows = [
        {
            "row_key": key,
            "doc_id": str(key),
            "shard": "a",
            "row": key,
            "source_group": "a",
            "text_bytes": 300,
            "words": 50,
            "text_hash": bytes(16),
            "representative": key,
            "exact_count": 1,
            "effective_count": 1.0,
            "near_capped": False,
            "family": "0" * 32,
            "max_window_count": 0,
            "repeated_words": 0,
            "priority_rest": 0.0,
        }
        for key in [*keys, 100_000, 100_001]
    ]
    rows[-1]["representative"] = keys[0]
    return conform(pa.Table.from_pylist(rows, schema=COUNTS), COUNTS)


def forecast_of(folder, table, *settings, told=None):
    """Run the stage on a table `sequences` and return what it wrote.

    told: what is told of the proxies; None for those of the simulation.
    """
    about = {
        "proxies": told
        or [
            {"proxy": name, "role": role, "parameters": size, "tokens": TOKENS[role]}
            for name, role, size, _, _ in proxies()
        ],
    }
    keys = sorted(set(table["row_key"].to_pylist()))
    inputs = (
        ("sequences", table, SEQUENCES),
        ("counts", documents(keys), COUNTS),
        ("plants", PLANTS.empty_table(), PLANTS),
    )
    paths: dict[str, tuple[str, ...]] = {}
    for name, rows, schema in inputs:
        with write_table(folder, name, "all", schema) as out:
            out.write(rows)
        paths[name] = (out.record.path,)
    sample: dict[str, dict[str, int]] = {"half_of_family": {}}
    paths["models"] = tuple(
        write_file(folder, "models", name, json.dumps(value).encode()).path
        for name, value in (("proxies.json", about), ("sample.json", sample))
    )
    config = load_config(settings=list(settings))
    receipt = risk(Work("risk", "all", Path(folder), config, (), paths, cores=1, memory=1 << 30))
    files = {record.table: (folder / record.path).read_bytes() for record in receipt.files}
    read = {record.table: pq.read_table(folder / record.path) for record in receipt.files}
    return Forecast(table, receipt.facts, read["risk"], read["document_risk"], files)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return the forecast of the panel with a true effect of dose, for a target near the ladder."""
    return forecast_of(tmp_path_factory.mktemp("planted"), sequences(), *NEAR)


@pytest.fixture(scope="module")
def too_few(tmp_path_factory):
    """Return the forecast of a panel of whose families the largest proxy memorized 2, no plants."""
    return forecast_of(tmp_path_factory.mktemp("few"), sequences(most_memorized=2), *NEAR)


@pytest.fixture
def few_draws(monkeypatch):
    """Draw an eighth of the curves and laws, where a flag is asked for and no width."""
    monkeypatch.setattr(laws, "DRAWS", 25)
    monkeypatch.setattr(logistic, "DRAWS", 25)
    monkeypatch.setattr(scaling, "LAW_DRAWS", 16)


def test_too_few_memorized_families_fit_nothing(too_few):
    """With 2 memorized families nothing is fitted: every risk is null, and the reason is said."""
    assert too_few.facts["fitted"] is False
    assert "2 families and 0 plants" in too_few.facts["why_not"]
    assert "proxy.sample_tokens" in too_few.facts["why_not"]
    for name in ("risk", "risk_low", "risk_high", "kind"):
        assert too_few.risk[name].null_count == len(too_few.risk) > 0
    for name in ("risk", "risk_low", "risk_high", "kind", "expected_tokens"):
        assert too_few.documents[name].null_count == len(too_few.documents) > 0
    fitted = [name for name in too_few.facts if name.startswith(("coef", "held_out", "calib"))]
    assert fitted == []
    assert "expected" not in too_few.facts


@pytest.mark.usefixtures("few_draws")
def test_one_more_family_is_enough(tmp_path):
    """The third memorized family is the one that allows a fit."""
    found = forecast_of(tmp_path, sequences(most_memorized=3), *NEAR)
    assert found.facts["fitted"] is True
    assert found.risk["risk"].null_count == 0


@pytest.mark.parametrize("which", ["too_few", "planted"])
def test_facts_are_there_fitted_or_not(request, which):
    """Base rate, floor, both with intervals, target with its assumption and warnings are there."""
    found = request.getfixturevalue(which)
    facts, top = (
        found.facts,
        [next(p for p in row if p["proxy"] == "p2") for row in found.table["proxies"].to_pylist()],
    )
    taught = [proxy for proxy in top if proxy["seen"]]
    hits = sum(proxy["memorized"] for proxy in taught)
    base, floor = facts["base_rate"], facts["floor"]
    assert (base["sequences"], base["memorized"]) == (len(taught), hits)
    assert base["rate"] == pytest.approx(hits / len(taught), abs=1e-6)
    low, high = base["rate_of_families_95"]
    assert 0 < low < base["families_memorized"] / base["families"] < high < 1
    assert (floor["sequences"], floor["memorized"]) == (len(top) - len(taught), 0)
    assert floor["families"] == UNTRAINED
    assert floor["rate_of_families_95"] == [0.0, 3 / UNTRAINED]
    assert facts["target"]["assumption"] == "as configured"
    assert facts["target"]["times_the_largest_proxy"] == 8
    assert any("not a privacy guarantee" in entry["warning"] for entry in facts["warnings"])


def test_the_dose_response_shows_the_floor_apart(planted):
    """Memorized by dose rises on trained text; text of any count never trained on stays at 0."""
    rows = planted.facts["memorized_by_count"]
    taught = [row["p2"] for row in rows if row["trained_on"]]
    assert taught[-1] > taught[0] + 0.5
    assert [row["p2"] for row in rows if not row["trained_on"]] == [0.0] * 7


def test_the_planted_effect_is_found(planted):
    """Slopes are never negative, and those of the doses and of size together are positive."""
    assert planted.facts["fitted"] is True
    assert planted.facts["why_not"] is None
    for basis in ("seen", "unseen"):
        slopes = planted.facts[f"coefficients_{basis}"]
        free = ("planted", "log size ratio")
        assert min(value for name, value in slopes.items() if name not in free) >= 0
        assert sum(value for name, value in slopes.items() if "dose" in name) > 0.3
        assert slopes["log p per token"] > 0


@pytest.mark.parametrize(("basis", "first"), [("unseen", 0), ("seen", len(TWINS))])
def test_risk_rises_with_count_alone(planted, basis, first):
    """Of rows equal but for their count, the more frequent are never at less risk."""
    begin = FAMILIES * PER_FAMILY + first
    own = slice(begin, begin + len(TWINS))
    assert planted.table["sequence_count"].to_pylist()[own] == list(TWINS)
    assert set(planted.risk["basis"].to_pylist()[own]) == {basis}
    values = planted.values("risk")[own]
    assert (np.diff(values) >= 0).all()
    assert values[-1] > values[0]


def test_risk_separates_what_a_larger_model_would_memorize(planted):
    """Sequences of many copies are at much higher risk than those that occur once."""
    count, value = planted.table["sequence_count"].to_numpy(), planted.values("risk")
    assert value[count >= 32].mean() > 3 * value[count == 1].mean()


def test_a_planned_order_is_told_and_changes_no_forecast(too_few, tmp_path):
    """Each document has its last exposure; without a planned order there is none."""
    ordered = forecast_of(tmp_path, too_few.table, *NEAR, "target.order=files")
    last = ordered.documents["last_exposure"].to_pylist()
    assert all(0.0 <= value < 1.0 for value in last)
    assert len(set(last)) > 400
    assert too_few.documents["last_exposure"].null_count == len(last)
    assert ordered.risk.equals(too_few.risk)


def test_intervals_hold_the_risk(planted):
    """Each interval holds its risk, is inside [0, 1] and is not of no width."""
    low, value, high = (planted.values(name) for name in ("risk_low", "risk", "risk_high"))
    assert ((low >= 0) & (low <= value) & (value <= high) & (high <= 1)).all()
    assert (high - low).min() > 0


def test_it_is_said_what_the_forecast_was_checked_on(planted):
    """Held-out quality is that of left-out families, beside log count, with intervals."""
    for basis in ("seen", "unseen"):
        held = planted.facts[f"held_out_{basis}"]
        assert "families left out of the fit" in held["validated_on"]
        for name in ("average_precision", "average_precision_of_log_count", "brier"):
            low, high = held[f"{name}_95"]
            assert 0 <= low <= held[name] <= high <= 1
        gained = held["average_precision"] - held["average_precision_of_log_count"]
        assert held["average_precision_gained"] == pytest.approx(gained, abs=2e-4)
        assert held["average_precision"] > held["base_rate_of_panel"] + 0.2
        assert held["brier"] < held["brier_of_base_rate"]
        assert held["error_between_trainings_logits"] >= 0.3
        rows = planted.facts[f"calibration_{basis}"]
        assert sum(row["sequences"] for row in rows) == held["sequences"]


def test_expected_shares_are_weighted_means(planted):
    """The expected share of the corpus is the mean risk, each sequence by its weight."""
    own = planted.facts["expected"]["all"]
    mean = np.average(planted.values("risk"), weights=planted.table["weight"].to_numpy())
    assert own["expected_share"] == pytest.approx(mean, abs=1e-6)
    assert own["expected_share_95"][0] <= own["expected_share"] <= own["expected_share_95"][1]
    assert own["sequences"] == len(planted.risk)


def test_kinds_follow_risk_and_count(planted):
    """Kind is none below 0.5; recited from 6 occurrences on; reconstructed where guessable."""
    value, count = planted.values("risk"), planted.table["sequence_count"].to_numpy()
    for kind, chance, copies in zip(planted.risk["kind"].to_pylist(), value, count, strict=True):
        assert (kind == "none") == (chance < 0.5)
        assert kind != "recited" or copies >= 6
        assert kind != "recollected" or copies < 6
    assert "recited" in planted.risk["kind"].to_pylist()


def test_a_document_is_as_risky_as_its_riskiest_sequence(planted):
    """A document has its largest risk with that row's interval; a copy has its original's."""
    rows = {row["row_key"]: row for row in planted.documents.to_pylist()}
    own = [row for row in planted.risk.to_pylist() if row["row_key"] == 10]
    worst = max(own, key=lambda row: row["risk"])
    assert len(own) == 2
    for name in ("risk", "risk_low", "risk_high", "kind"):
        assert rows[10][name] == worst[name]
    assert rows[10]["expected_tokens"] == pytest.approx(sum(row["risk"] for row in own) * 32)
    assert rows[10]["scored_share"] == 0.5
    assert {**rows[100_001], "row_key": 0} == rows[0]
    assert 100_000 not in rows
    assert planted.documents.schema.names == DOCUMENT_RISK.names


def test_the_same_panel_gives_the_same_bytes(tmp_path, planted):
    """Running the stage again writes the same files and facts."""
    again = forecast_of(tmp_path, planted.table, *NEAR)
    assert again.files == planted.files
    assert json.dumps(again.facts) == json.dumps(planted.facts)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize(
    ("times", "tokens", "beyond"),
    [
        (10, 6_000_000, False),
        (11, 6_000_000, True),
        pytest.param(10, 6_000_001, True, marks=pytest.mark.slow),
    ],
)
def test_beyond_ten_times_the_ladder_is_extrapolated(tmp_path, times, tokens, beyond):
    """Above 10 times the size or the tokens of the largest proxy: order and band, no kind."""
    target = (f"target.parameters={times * SIZES['p2']}", f"target.tokens={tokens}")
    found = forecast_of(tmp_path, sequences(most_memorized=3), *target)
    for table in (found.risk, found.documents):
        assert set(table["extrapolated"].to_pylist()) == {beyond}
    assert found.facts["target"]["extrapolated"] is beyond
    assert (found.facts["expected"]["all"]["expected_share"] is None) is beyond
    assert (found.risk["kind"].null_count == len(found.risk)) is beyond
    low, high = found.facts["expected"]["all"]["expected_share_95"]
    assert 0 <= low < high <= 1


@pytest.mark.parametrize(
    "parameters", [*(pytest.param(n, marks=pytest.mark.slow) for n in (10**8, 7 * 10**9)), 10**12]
)
def test_text_that_occurs_once_is_not_recited_by_any_target(tmp_path, parameters):
    """Of count-1 text at most ten times the floor's upper bound, for any size of target."""
    found = forecast_of(tmp_path, sequences(), f"target.parameters={parameters}")
    share = found.facts["expected"]["unseen that occur once"]["expected_share_95"]
    bound = found.facts["floor"]["rate_of_families_95"][1]
    once = found.table["sequence_count"].to_numpy() == 1
    unseen = np.array(found.risk["basis"].to_pylist()) == "unseen"
    assert found.values("risk")[once & unseen].mean() <= 10 * bound
    assert share[0] <= 10 * bound


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize(
    "sizes",
    [{"p2": 160_000}, {"p1": 160_000, "p2": 160_000}],
    ids=["one model", "two checkpoints of one"],
)
def test_loaded_models_of_one_size_forecast(tmp_path, sizes):
    """There is a risk for every row, by the one law that needs no pair of sizes."""
    told = [
        {"proxy": name, "role": "ladder", "parameters": size, "tokens": 300_000 * number}
        for number, (name, size) in enumerate(sizes.items(), 1)
    ]
    found = forecast_of(tmp_path, sequences(), *NEAR, told=told)
    assert found.facts["fitted"] is True
    assert found.risk["risk"].null_count == 0
    assert np.isfinite(found.values("risk")).all()
    assert "coefficients_unseen" in found.facts
    assert "coefficients_seen" not in found.facts
    assert found.facts["laws"]["size"] is None
    taught = np.array([basis == "seen" for basis in found.risk["basis"].to_pylist()])
    count = found.table["sequence_count"].to_numpy()
    often, once = (found.values("risk")[taught & (count >= n)] for n in (32, 1))
    assert often.mean() > once.mean()


@pytest.mark.parametrize("told", [None, "loaded"])
def test_who_recites_too_little_is_named(tmp_path, told):
    """Of loaded models no setting of a training is to blame."""
    loaded = [{"proxy": "p2", "role": "ladder", "parameters": 160_000, "tokens": 600_000}]
    found = forecast_of(tmp_path, sequences(most_memorized=2), told=told and loaded)
    assert ("proxy.sample_tokens" in found.facts["why_not"]) == (told is None)
    assert ("the loaded models" in found.facts["why_not"]) == (told is not None)


def test_families_are_never_split():
    """A family's rows are in one fold, and every fold has some families."""
    family = np.repeat(np.arange(50), 3)
    found = folds(family)
    assert (found.reshape(50, 3) == found[::3, None]).all()
    assert set(found.tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("hits", "total", "expected"),
    [
        (0, 30, (0.0, 0.1)),
        (0, 2, (0.0, 1.0)),
        (0, 0, (0.0, 1.0)),
        (5, 50, (0.0434757, 0.2136022)),
        (10, 10, (0.7224672, 1.0)),
    ],
)
def test_wilsons_interval(hits, total, expected):
    """The interval is Wilson's, and the rule of three where there is no hit."""
    assert wilson(hits, total) == pytest.approx(expected, abs=1e-6)


def test_a_checkpoint_of_the_largest_is_no_smaller_model():
    """The pair that a forecast is judged on is the last model of each of the two largest sizes."""
    some, none = np.ones(3), np.zeros(3, np.bool_)
    ladder = tuple(
        features.Seen(name, "ladder", size, tokens, some * tokens, -some, none, some)
        for name, size, tokens in (("a", 9, 2), ("b", 9, 4), ("c", 20, 2), ("d", 20, 4))
    )
    parts: Any = (*[some] * 8, none, np.arange(3), ladder)
    panel = features.ScoredPanel(*parts)
    cases = features.seen_cases(panel)
    assert len(cases.label) == 3 * 4  # each of the smaller two beside each of the larger two
    assert int(cases.top.sum()) == 3
    assert cases.features[cases.top, features.SEEN.index("log tokens")].tolist() == [0.0] * 3
