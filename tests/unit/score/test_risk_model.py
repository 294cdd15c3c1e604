"""The forecast as a function of the dose."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.score.forecast.features import SEEN
from pipeline.score.forecast.logistic import Cases
from pipeline.score.forecast.risk_model import risk_at, risk_model
from schemas.score.risk import RISK_MODEL
from schemas.score.sequences import SEQUENCES


class Basis:
    """A basis over all rows with random cases."""

    names = SEEN

    def __init__(self, features):
        draw = np.random.default_rng(1)
        cases = draw.normal(size=(400, len(SEEN)))
        label = cases.sum(1) + draw.normal(size=400) > 0
        family = np.arange(400) // 4
        self.cases = Cases(cases, label, family, np.zeros(400, np.int64), np.ones(400, np.bool_))
        self.features = features
        self.rows = np.ones(len(features), np.bool_)


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
    """Give a model of three sequences that were seen 1, 5 and 40 times, and its features."""
    counts, effective, suffix = [1, 5, 40], [1.0, 7.5, 50.0], [2, 9, 80]
    epochs, log_dose = 2.0, np.log
    features = np.column_stack(
        [
            log_dose(epochs * np.array(counts)),
            log_dose(epochs * np.array(effective)),
            log_dose(epochs * np.array(suffix)),
            [-1.0, -0.2, -0.1],
            [0.5, 0.5, 0.5],
            [-3.0, -2.5, -1.0],
            [-0.7, -0.1, 0.0],
            log_dose(epochs * np.array(counts) / 3.0),
            [-2.0, 0.1, 3.0],
        ]
    )
    basis = Basis(features)
    found = risk_model(sequences(counts, effective, suffix), [basis], epochs)
    return found, basis, (np.array(counts), np.array(effective), np.array(suffix))


def test_at_the_doses_of_the_corpus_it_is_the_forecast(model):
    """The model at the counts as given is the fitted forecast itself."""
    from scipy.special import expit

    from pipeline.score.forecast.logistic import fit

    table, basis, counts = model
    assert table.schema.equals(RISK_MODEL)
    expected = expit(fit(basis.cases).logit(basis.features))
    assert risk_at(table, *counts) == pytest.approx(expected, abs=1e-12)


def test_fewer_occurrences_never_raise_the_risk(model):
    """Halving every dose lowers each risk, and nothing at all is no risk."""
    table, _, counts = model
    whole = risk_at(table, *counts)
    half = risk_at(table, *(c / 2 for c in counts))
    assert (half < whole).all()
    assert risk_at(table, *(c * 0 for c in counts)).tolist() == [0.0, 0.0, 0.0]


def test_nothing_fitted_gives_no_rows():
    """Without a basis no sequence has a forecast."""
    assert risk_model(sequences([1], [1.0], [1]), [], 1.0).num_rows == 0
