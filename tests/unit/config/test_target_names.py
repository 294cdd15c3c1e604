"""Targets as they are typed."""

from __future__ import annotations

import pytest

from pipeline.config.load import load_config
from pipeline.config.target_names import FAMILIES, parsed_target, target_settings
from pipeline.errors import ConfigError

B, T = 1_000_000_000, 1_000_000_000_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8b:15T", (8 * B, 15 * T)),
        ("350m", (350_000_000, 0)),
        (" 1.5B:300b ", (1_500_000_000, 300 * B)),
        ("125000000", (125_000_000, 0)),
        ("pythia-12b", (12 * B, 300 * B)),
        ("Llama-3-8B", (8 * B, 15 * T)),
        ("pythia-2.8b", (2_800_000_000, 300 * B)),
        ("EleutherAI/pythia-1.4b-deduped", (1_400_000_000, 300 * B)),
        ("meta-llama/Llama-3.1-405B", (405 * B, 15 * T)),
        ("Qwen/Qwen2.5-0.5B", (500_000_000, 18 * T)),
        ("qwen-2.5-72b", (72 * B, 18 * T)),
        ("gemma-3-27b", (27 * B, 14 * T)),
    ],
)
def test_a_target_is_a_size_tokens_or_a_name(text: str, found: tuple[int, int]) -> None:
    """Units are k, m, b and t of either case; tokens that are left out are 0."""
    assert parsed_target(text) == found


@pytest.mark.parametrize(
    "text", ["", "big", "0b", "8b:0", "8b:15T:3", "8b:", "-8b", "8 b", "8e9", "pythia-13b", "1..5b"]
)
def test_what_is_no_target_is_refused_with_the_form(text: str) -> None:
    """The refusal quotes what was typed and lists the names that are known."""
    with pytest.raises(ConfigError, match="no size of a model") as refused:
        parsed_target(text)
    assert repr(text) in str(refused.value)
    assert "8b:15t" in str(refused.value)
    assert "pythia-12b" in str(refused.value)


def test_a_name_that_is_nearly_one_is_told_which_are_near() -> None:
    """A size that the family does not have; without a near name the form alone is told."""
    with pytest.raises(ConfigError, match=r"write pythia-1\.4b or"):
        parsed_target("pythia-1.3b")
    with pytest.raises(ConfigError, match="write both with a unit"):
        parsed_target("foo")


def test_every_name_that_is_told_is_known() -> None:
    """No two of them are the same to the parser."""
    names = [f"{family}-{size}" for family, sizes in FAMILIES.items() for size in sizes]
    assert len({parsed_target(name) for name in names}) > 30
    assert all(all(parsed_target(name)) for name in names)


def test_a_target_takes_the_place_of_sizes_that_were_set_before() -> None:
    """Of a run folder or a file no other size or number of tokens is left; epochs are."""
    before = {"target": {"parameters": 5, "tokens": 7, "epochs": 2.0}}
    target = load_config(settings=target_settings("8b", ["near.threshold=0.9"]), base=before).target
    assert (target.parameters, target.total_parameters, target.tokens) == (0, 8 * B, 0)
    assert target.epochs == 2.0


@pytest.mark.parametrize("key", ["parameters", "total_parameters", "tokens"])
def test_a_target_that_is_set_twice_is_refused(key: str) -> None:
    """Which of the two is meant cannot be known, so the setting is named."""
    with pytest.raises(ConfigError, match="given twice") as refused:
        target_settings("8b:15T", ["near.threshold=0.9", f"target.{key} = 3"])
    assert f"--set target.{key} = 3" in str(refused.value)


@pytest.mark.parametrize("text", ["640k:850k", "2m", "9999999"])
def test_a_target_that_is_mostly_tables_is_refused(text: str) -> None:
    """The rule of the tables leaves next to nothing of it, which would be forecast as harmless."""
    with pytest.raises(ConfigError, match=r"target\.parameters=NUMBER"):
        load_config(settings=target_settings(text, []))
    saved = {"target": {"total_parameters": 640_000}}  # of an earlier version
    assert load_config(settings=["near.threshold=0.9"], base=saved).target.total_parameters


@pytest.mark.parametrize(
    ("saved", "given"), [("parameters", "total_parameters"), ("total_parameters", "parameters")]
)
def test_a_size_of_the_other_kind_takes_the_place_of_the_saved_one(saved: str, given: str) -> None:
    """A user names one size; the other is of an earlier command. Two in one command are refused."""
    base = {"target": {saved: 20_000_000, "epochs": 3.0}}
    target = load_config(settings=[f"target.{given}=30000000"], base=base).target
    assert (getattr(target, saved), getattr(target, given)) == (0, 30_000_000)
    assert target.epochs == 3.0
    both = [f"target.{given}=30000000", f"target.{saved}=20000000"]
    with pytest.raises(ConfigError, match="not both"):
        load_config(settings=both)
