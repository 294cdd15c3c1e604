from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.errors import ConfigError

NUMBERS = ("1e300", "-1e300", "nan", "inf", "-inf", f"{10**30}", f"-{10**30}", "9" * 5_000)
LEAST = 20_000  # no setting takes so long a string or list


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and the default of every setting."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


ALL = dict(settings(Config))
KINDS = {name: field.default if field.default is not None else "" for name, field in ALL.items()}
LITERAL = {name for name, field in ALL.items() if "Literal" in str(field.annotation)}


def refused(*given: str) -> ConfigError:
    """Return the error that settings give."""
    with pytest.raises(ConfigError) as error:
        load_config(settings=given)
    return error.value


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("name", sorted(n for n, v in KINDS.items() if type(v) in (int, float)))
def test_a_number_without_end_is_refused_in_words(name, value):
    """Every numeric setting has a bound on both sides; the error names it and is short."""
    error = refused(f"{name}={value}")
    assert error.where == name
    assert error.found
    assert len(str(error)) < 700


@pytest.mark.parametrize("name", sorted(n for n, v in KINDS.items() if type(v) is str))
def test_a_string_without_end_is_refused(name):
    """Names, paths and separators are of a length that such things have."""
    assert refused(f"{name}={'x' * LEAST}").where == name


@pytest.mark.parametrize("name", sorted(n for n, v in KINDS.items() if type(v) is tuple))
def test_a_list_without_end_is_refused(name):
    """So are lists, and the names in them."""
    one = "[1, 32]" if name == "proxy.shapes" else "'x'"
    assert refused(f"{name}=[{', '.join([one] * LEAST)}]").where.startswith(name)
    if name not in LITERAL and name != "proxy.shapes":
        assert refused(f"{name}=['{'x' * LEAST}']").where.startswith(name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("window.words=1_000_000_000_000", "at most 100,000: shorter documents have no window"),
        ("sketch.bands=1_000_000_000", "at most 1,024: each is a value of 4 bytes"),
        ("sketch.bands=1_000", "sketch.bands * sketch.rows is at most 1,024"),
        ("proxy.shapes=[[10_000_000, 32], [2, 64], [3, 96]]", "a proxy is a small model"),
        ("proxy.shapes=[[1, 32], [2, 64], [3, 1_000_000_000]]", "a proxy is a small model"),
        ("policy.sources.a.keep=1_000_000_000_000", "documents are counted in 32 bits"),
        ("policy.sources.a.risk=nan", "finite number"),
        ("limits.memory=" + "9" * 400 + "TB", "a size is a number of bytes"),
        ("limits.memory=99999999999999999TB", "no machine has more"),
        ("near.neighbours=257", "at most 256"),
    ],
)
def test_the_reason_of_a_bound_is_said(given, said):
    """Who asks for too much reads why it is too much."""
    assert said in str(refused(given))


@pytest.mark.parametrize("given", ["a" + ".a" * 100_000 + "=1", "near.sources=" + "[" * 100_000])
def test_settings_nested_without_end_are_refused(given):
    """A key of a hundred thousand parts, a list in lists: one short message each."""
    assert len(str(refused(given))) < 1_000


def test_a_file_with_a_number_without_end_is_refused(tmp_path: Path):
    """Python reads no integer of five thousand digits; the message says so."""
    path = tmp_path / "rote.toml"
    path.write_text(f"[near]\nbucket_cap = {'9' * 5_000}\n")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(path)


def test_every_setting_is_of_a_kind_that_is_tried_here():
    """Numbers, strings, lists and switches; a new kind needs a bound and a test of it."""
    kinds = {type(value) for name, value in KINDS.items() if name not in LITERAL}
    assert kinds <= {int, float, str, tuple, bool, dict}
    assert [name for name, value in KINDS.items() if type(value) is dict] == ["policy.sources"]
    assert all(get_args(field.annotation) or field.annotation for field in ALL.values())


def test_settings_that_do_not_fit_one_another_are_told_in_one_sentence():
    """Neither the words of the library that checks nor the whole section stand around it."""
    assert refused('policy.rules=["drop-risk"]').found == (
        "drop-risk needs policy.risk or policy.risk_share"
    )
    told = refused("near.containment=0.1")
    assert told.found.startswith("near.containment must be 0 (off) or at least")
    assert "given" not in told.found
    assert refused("near.threshold=2").found.endswith("(given: 2)")
