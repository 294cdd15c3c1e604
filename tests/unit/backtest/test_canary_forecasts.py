"""The forecast of a canary is the run's own: a plant that no proxy was taught has the same one.

It is tested here because the scored run of the back-test is.
"""

import json

import numpy as np
import pytest

from pipeline.canaries.made.canaries import make_canaries
from pipeline.canaries.made.design import Design
from pipeline.canaries.made.forecasts import forecasts
from pipeline.engine.run_folder import read_run
from pipeline.score.forecast.risk import forecast_of
from pipeline.score.forecast.scaling import Model
from pipeline.score.forecast.target import target_of


def test_a_canary_is_forecast_as_a_plant_that_no_proxy_was_taught(subject, scored):
    """To six digits, at its dose, for the declared target."""
    panel, config = subject.panel, subject.work.config
    own = np.flatnonzero((subject.kind == "exact") & ~panel.top.taught)
    rows, tokenizer = subject.panel_rows[own], subject.material.language.tokenizer
    texts = [tokenizer.decode(row.tolist()) for row in rows[:, 1:]]
    dose = panel.count[own].astype(np.int64)
    for epochs in (1.0, 2.0):
        near = {"parameters": 300_000, "tokens": 400_000, "epochs": epochs}
        wanted = config.target.model_copy(update=near)
        asked = config.model_copy(update={"target": wanted})
        found, told = forecasts(read_run(scored).tables(), asked, texts, rows, dose)
        target = target_of(wanted, Model(panel.top.parameters, panel.top.tokens))
        expected, _ = forecast_of(panel, target, config.proxy.seed, panel.planted)
        assert found == pytest.approx(expected.risk[own], abs=2e-6)
        assert (told["parameters"], told["epochs"]) == (300_000, epochs)
    assert len(set(dose.tolist())) > 1


def test_a_scored_run_seals_a_forecast_that_grows_with_the_dose(scored, tmp_path):
    """Both texts of a pair have one, whichever is in; references have none."""
    design = Design(doses=(1, 16), pairs=2, references=5)
    made = make_canaries(scored, design, tmp_path / "canaries")
    manifest = json.loads((scored / "manifest.json").read_bytes())
    assert made.key.forecast["fitted"] is True
    assert made.key.forecast["target"]["extrapolated"] is True  # the target is assumed: 1B
    pairs = [one for one in made.key.canaries if one.pair >= 0]
    assert {one.risk for one in made.key.canaries if one.pair < 0} == {None}
    assert np.all(np.diff([[one.risk_low, one.risk, one.risk_high] for one in pairs]) >= 0)
    mean = {d: np.mean([one.risk for one in pairs if one.dose == d]) for d in (1, 16)}
    assert mean[1] < mean[16]
    facts = manifest["outputs"]["sequences/all"]["facts"]
    assert made.key.about["tokenizer"] == facts["tokenizer"]["digest"]
