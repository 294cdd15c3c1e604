"""The size, the tokens and the epochs of the model that is forecast."""

import pytest

from pipeline.config.sections import TargetConfig
from pipeline.config.target_names import parsed_target
from pipeline.errors import ConfigError
from pipeline.score.forecast.scaling import Model
from pipeline.score.forecast.target import target_of, without_embeddings

TOP = Model(1_000_000, 2_000_000)


def test_what_is_not_given_is_assumed_and_said():
    """A billion parameters in all, 20 tokens for each."""
    found = target_of(TargetConfig(), TOP)
    assert found.parameters == without_embeddings(10**9)
    assert found.tokens == 20 * 10**9
    assert "assumed: 1,000,000,000 parameters in all (no target was named)" in found.assumed
    assert "assumed: 20,000,000,000 tokens, 20 a parameter" in found.assumed
    assert found.extrapolated


def test_what_is_given_is_taken_as_it_is():
    """A target is compared with the largest proxy in size and in tokens."""
    given = TargetConfig(parameters=85_000_000, tokens=10**9, epochs=2)
    found = target_of(given, TOP)
    assert (found.parameters, found.tokens, found.assumed) == (85_000_000, 10**9, "as configured")
    assert (found.ratio, found.tokens_ratio) == (85.0, 500.0)
    assert found.extrapolated
    assert not target_of(TargetConfig(parameters=10**7, tokens=2 * 10**7), TOP).extrapolated
    assert target_of(TargetConfig(parameters=10**6, tokens=3 * 10**7), TOP).extrapolated


def test_tokens_alone_say_the_size():
    """One parameter for 20 tokens."""
    found = target_of(TargetConfig(tokens=2 * 10**9), TOP)
    assert found.parameters == without_embeddings(10**8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8b:15T", (8 * 10**9, 15 * 10**12)),
        ("350m", (350 * 10**6, 0)),
        ("0.5B:300b", (5 * 10**8, 3 * 10**11)),
        ("Pythia-12b", (12 * 10**9, 3 * 10**11)),
    ],
)
def test_targets_are_typed_as_people_say_them(text, expected):
    """Parameters in all and tokens, with units, or the name of a public model."""
    assert parsed_target(text) == expected


@pytest.mark.parametrize("text", ["", "big", "8b:", "8b:15T:3", "0b", "8x", "-1b"])
def test_a_target_that_is_none_is_refused(text):
    """The message says how a target is typed."""
    with pytest.raises(ConfigError, match="8b:15t"):
        parsed_target(text)


@pytest.mark.parametrize(
    ("total", "without"), [(162_322_944, 85_056_000), (1_414_647_808, 1_208_602_624)]
)
def test_a_size_with_embeddings_is_converted_by_the_stated_rule(total, without):
    """Within 20% of Pythia-160M and 1.4B, whose sizes are published both ways."""
    assert without_embeddings(total) == pytest.approx(without, rel=0.2)


def test_the_rule_is_told():
    """The report says which size was taken for the one that was given."""
    found = target_of(TargetConfig(total_parameters=10**9, tokens=1), TOP)
    assert found.parameters == without_embeddings(10**9)
    assert f"are {found.parameters:,} without embeddings" in found.assumed


def test_few_tokens_alone_mean_no_model_of_tables():
    """Twenty tokens a parameter of a short training would be a model of nothing but tables."""
    found = target_of(TargetConfig(tokens=850_000), TOP)
    assert found.parameters == without_embeddings(10_000_000)
    assert "assumed: 10,000,000 parameters in all" in found.assumed
