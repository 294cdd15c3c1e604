"""A target as it is typed after `--target`: a size, a size and tokens, or the name of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.errors import ConfigError

# parameters in all and tokens, as their reports or model cards give them
FAMILIES = {
    "pythia-1b": (1.0e9, 3.0e11),
    "pythia-6.9b": (6.9e9, 3.0e11),
    "pythia-12b": (12.0e9, 3.0e11),
    "llama-2-7b": (7.0e9, 2.0e12),
    "llama-2-70b": (70.0e9, 2.0e12),
    "llama-3-8b": (8.0e9, 15.0e12),
    "llama-3-70b": (70.0e9, 15.0e12),
    "olmo-2-7b": (7.0e9, 4.0e12),
    "olmo-2-13b": (13.0e9, 5.0e12),
    "gemma-2-2b": (2.0e9, 2.0e12),
    "gemma-2-9b": (9.0e9, 8.0e12),
    "gemma-2-27b": (27.0e9, 13.0e12),
    "qwen-2.5-7b": (7.0e9, 18.0e12),
}
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmbt]?)")
_SAME = ("target.parameters", "target.total_parameters", "target.tokens")


def parsed_target(text: str) -> tuple[int, int]:
    """Return parameters in all and tokens of a target as it is typed, such as 8b:15T.

    Tokens that are not given are 0.

    Args:
        text: PARAMETERS or PARAMETERS:TOKENS with units k, m, b, t, or a name of FAMILIES.

    Raises:
        ConfigError: when it is neither.
    """
    name = text.strip().lower()
    if name in FAMILIES:
        parameters, tokens = FAMILIES[name]
        return round(parameters), round(tokens)
    parts = [_AMOUNT.fullmatch(part) for part in name.split(":")]
    amounts = [round(float(part[1]) * _UNITS[part[2]]) for part in parts if part]
    if len(amounts) != len(parts) or len(parts) > 2 or not all(amounts):
        raise ConfigError(
            "This is no size of a model.",
            where=f"--target {text!r}",
            expected=f"PARAMETERS:TOKENS as in 8b:15t, or one of {', '.join(FAMILIES)}",
            fix="write both with a unit: k, m, b or t",
        )
    return amounts[0], amounts[1] if len(amounts) > 1 else 0


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
