"""The size, the tokens and the epochs of the model that is forecast."""

import pytest

from pipeline.config.sections import TargetConfig
from pipeline.score.forecast.target import target_of, without_embeddings


def test_what_is_not_given_is_assumed_and_said():
    """Eight times the largest proxy, this corpus once."""
    found = target_of(TargetConfig(), 1_000_000, 5_000)
    assert (found.parameters, found.tokens, found.ratio) == (8_000_000, 5_000, 8.0)
    assert "assumed (no target.parameters, no target.tokens given)" in found.assumed
    assert not found.extrapolated


def test_what_is_given_is_taken_as_it_is():
    """A target far above the proxies is marked."""
    given = TargetConfig(parameters=85_000_000, tokens=10**9, epochs=2)
    found = target_of(given, 1_000_000, 5_000)
    assert (found.parameters, found.tokens, found.assumed) == (85_000_000, 10**9, "as configured")
    assert found.extrapolated


@pytest.mark.parametrize(
    ("total", "without"), [(162_322_944, 85_056_000), (1_414_647_808, 1_208_602_624)]
)
def test_a_size_with_embeddings_is_converted_by_the_stated_rule(total, without):
    """Within 20% of Pythia-160M and 1.4B, whose sizes are published both ways."""
    assert without_embeddings(total) == pytest.approx(without, rel=0.2)


def test_the_rule_is_told():
    """The report says which size was taken for the one that was given."""
    found = target_of(TargetConfig(total_parameters=10**9, tokens=1), 10**6, 1)
    assert found.parameters == without_embeddings(10**9)
    assert f"is {found.parameters:,} without embeddings" in found.assumed
