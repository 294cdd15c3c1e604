"""A target as it is typed after `--target`: a size, a size and tokens, or the name of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from pipeline.errors import ConfigError

# sizes in all with the tokens of each, as their reports or model cards give them
FAMILIES: dict[str, dict[str, float]] = {
    "falcon": {"7b": 1.5e12, "40b": 1.0e12, "180b": 3.5e12},
    "gemma-2": {"2b": 2.0e12, "9b": 8.0e12, "27b": 13.0e12},
    "gemma-3": {"1b": 2.0e12, "4b": 4.0e12, "12b": 12.0e12, "27b": 14.0e12},
    "gpt-3": {"175b": 3.0e11},
    "gpt-j": {"6b": 4.02e11},
    "llama-2": dict.fromkeys(("7b", "13b", "70b"), 2.0e12),
    "llama-3": dict.fromkeys(("8b", "70b"), 15.0e12),
    "llama-3.1": dict.fromkeys(("8b", "70b", "405b"), 15.0e12),
    "olmo-2": {"1b": 4.0e12, "7b": 4.0e12, "13b": 5.0e12, "32b": 6.0e12},
    "pythia": dict.fromkeys(("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b"), 3.0e11),
    "qwen-2.5": dict.fromkeys(("0.5b", "1.5b", "3b", "7b", "14b", "32b", "72b"), 18.0e12),
    "qwen-3": dict.fromkeys(("0.6b", "1.7b", "4b", "8b", "14b", "32b"), 36.0e12),
    "smollm2": {"135m": 2.0e12, "360m": 4.0e12, "1.7b": 11.0e12},
    "tinyllama": {"1.1b": 3.0e12},
}
_VARIANTS = re.compile(r"-(deduped|base|hf)$")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmbt]?)")
_CLOSE = 0.75
_SAME = ("target.parameters", "target.total_parameters", "target.tokens")


def parsed_target(text: str) -> tuple[int, int]:
    """Return parameters in all and tokens of a target as it is typed, such as 8b:15T.

    Tokens that are not given are 0.

    Args:
        text: PARAMETERS or PARAMETERS:TOKENS with units k, m, b, t, or a family and a size of
            FAMILIES, also as hubs write it.

    Raises:
        ConfigError: when it is neither.
    """
    name = text.strip().lower()
    if (known := _names().get(_plain(name))) is not None:
        return known
    amounts = [parsed_amount(part) for part in name.split(":")]
    if len(amounts) > 2 or not all(amounts):
        every = [f"{family}-{size}" for family, sizes in FAMILIES.items() for size in sizes]
        near = get_close_matches(name, every, n=3, cutoff=_CLOSE)
        raise ConfigError(
            "This is no size of a model.",
            where=f"--target {text!r}",
            expected="PARAMETERS:TOKENS as in 8b:15t, or a name such as pythia-12b of the families "
            f"{', '.join(FAMILIES)}",
            fix=f"write {' or '.join(near)}, or the size with a unit: k, m, b or t"
            if near
            else "write both with a unit: k, m, b or t",
        )
    return amounts[0], amounts[1] if len(amounts) > 1 else 0


def _plain(name: str) -> str:
    """Return a name as all of its spellings have it: no owner, no variant, no hyphens."""
    return _VARIANTS.sub("", name.rpartition("/")[2]).replace("-", "")


def _names() -> dict[str, tuple[int, int]]:
    """Return parameters in all and tokens of each model, by its plain name."""
    return {
        _plain(f"{family}-{size}"): (parsed_amount(size), round(tokens))
        for family, sizes in FAMILIES.items()
        for size, tokens in sizes.items()
    }


def parsed_amount(text: str) -> int:
    """Return a number with a unit, such as 1.5b; 0 for what is none."""
    found = _AMOUNT.fullmatch(text)
    return round(float(found[1]) * _UNITS[found[2]]) if found else 0


def target_settings(text: str, given: Sequence[str]) -> list[str]:
    """Return the settings that `--target` stands for, as after --set.

    They take the place of what a file or a run folder says of the target's size and tokens.

    Args:
        text: as it is typed.
        given: the settings of the same command line.

    Raises:
        ConfigError: when it is no target, or one of the settings says the same.
    """
    parameters, tokens = parsed_target(text)
    for setting in given:
        if setting.partition("=")[0].strip() in _SAME:
            raise ConfigError(
                "The target is given twice.",
                where=f"--target {text!r}",
                found=f"--set {setting}",
                expected="one of them: --target sets both parameters and tokens",
                fix="leave the setting out, or --target",
            )
    values = (0, parameters, tokens)
    return [f"{name}={value}" for name, value in zip(_SAME, values, strict=True)]
