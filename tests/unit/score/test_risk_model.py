"""The forecast as a function of the dose."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from pipeline.score.forecast.risk_model import risk_at, risk_model
from schemas.score.risk import RISK_MODEL
from schemas.score.sequences import SEQUENCES

LOGIT = np.array([-3.0, 0.5, 2.0])
SLOPES = np.array([[0.5, 1.0, 0.7], [0.5, 1.0, 0.7], [0.2, 0.4, 0.3]])
EPOCHS = 2.0


def sequences(counts, effective, suffix):
    """Return a table with the columns that the model reads."""
    names = (
        "row_key", "start_byte", "end_byte", "suffix_byte",
        "weight", "sequence_count", "effective_count", "suffix_count",
    )  # fmt: skip
    size = len(counts)
    columns = [range(size), [0] * size, [9] * size, [4] * size, [1.0] * size]
    values = [*columns, counts, effective, suffix]
    return pa.table(
        [pa.array(v, SEQUENCES.field(n).type) for n, v in zip(names, values, strict=True)], names
    )


@pytest.fixture
def model():
    """Give a model of three sequences that occur 1, 5 and 40 times, and their counts."""
    counts = [1, 5, 40], [1.0, 7.5, 50.0], [2, 9, 80]
    found = risk_model(sequences(*counts), LOGIT, SLOPES, EPOCHS)
    return found, tuple(np.array(each) for each in counts)


def test_at_the_doses_of_the_corpus_it_is_the_forecast(model):
    """The model at the counts as given is the forecast itself."""
    table, counts = model
    assert table.schema.equals(RISK_MODEL)
    assert risk_at(table, *counts) == pytest.approx(expit(LOGIT), abs=1e-12)


def test_fewer_occurrences_never_raise_the_risk(model):
    """Halving every dose lowers each risk, and nothing at all is no risk."""
    table, counts = model
    whole = risk_at(table, *counts)
    half = risk_at(table, *(c / 2 for c in counts))
    assert (half < whole).all()
    assert risk_at(table, *(c * 0 for c in counts)).tolist() == [0.0, 0.0, 0.0]


def test_a_dose_moves_the_log_odds_by_its_slope(model):
    """Twice the count alone adds its slope times log 2, as long as a dose is at least one."""
    table, (count, effective, suffix) = model
    before = np.log(expit(LOGIT) / (1 - expit(LOGIT)))
    after = risk_at(table, 2 * count, effective, suffix)
    moved = np.log(after / (1 - after)) - before
    assert moved == pytest.approx(SLOPES[:, 0] * np.log(2), abs=1e-9)


def test_what_has_no_forecast_has_no_row():
    """A sequence without a forecast is left out."""
    table = sequences([1, 2], [1.0, 2.0], [1, 2])
    found = risk_model(table, np.array([np.nan, 0.0]), np.ones((2, 3)), 1.0)
    assert found["row_key"].to_pylist() == [1]
