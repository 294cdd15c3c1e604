"""What a model says to canaries: whether it recites each, and how probable its suffix is to it."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.canaries.key import Canary, Key
from pipeline.errors import ConfigError, InputError

MOST_NAMED = 5  # ids in a message


@dataclass(frozen=True)
class Answers:
    """The answers of one model.

    Attributes:
        source: the model, or the file, as it was given.
        recited: whether the suffix follows the prefix, by id.
        log_p: of the suffix given the prefix, in nats, by id.
        notes: what could not be had, in whole sentences.
    """

    source: str
    recited: dict[str, bool] = field(default_factory=dict)
    log_p: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def recites(completion: str, canary: Canary) -> bool:
    """Tell whether what a model generated after the prefix begins with the suffix.

    Spaces and line breaks at its ends do not matter, nor how many there are between words: some
    servers leave the first one out.
    """
    return " ".join(completion.split()).startswith(" ".join(canary.suffix.split()))


def read_answers(path: Path, key: Key) -> Answers:
    """Return the answers in a file of JSON Lines: `id` with `completion`, `log_p` or both.

    Raises:
        ConfigError: The file cannot be read.
        InputError: A line is no answer, or none of them is of these canaries.
    """
    known = {one.id: one for one in key.canaries}
    found = Answers(str(path))
    unknown = 0
    for number, line in _lines(path):
        name, completion, log_p = _answer(path, number, line)
        if name not in known:
            unknown += 1
            continue
        if name in found.recited or name in found.log_p:
            raise _bad_line(path, number, "an id that an earlier line has", "one answer for each")
        if completion is not None:
            found.recited[name] = recites(completion, known[name])
        if log_p is not None:
            found.log_p[name] = log_p
    if not found.recited and not found.log_p:
        raise InputError(
            "The answers are not of these canaries.",
            where=f"--answers {path}",
            found=f"{unknown:,} answers, none with an id of the key",
            expected="the ids of `rote canaries check FOLDER --prompts FILE`",
        )
    told = (f"{unknown:,} answers have ids that the key does not know; they were left out.",)
    return Answers(str(path), found.recited, found.log_p, told if unknown else ())


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, with their numbers.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise ConfigError(
            "The file of answers cannot be read.",
            where=f"--answers {path}",
            found=error.strerror or "",
            expected="a file of JSON Lines",
            fix="name another",
        ) from error


def _answer(path: Path, number: int, line: bytes) -> tuple[str, str | None, float | None]:
    """Return id, completion and log probability of a line.

    Raises:
        InputError: When it is no answer.
    """
    try:
        told: Any = json.loads(line)
    except ValueError as error:
        raise _bad_line(path, number, "no JSON", "an object") from error
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise _bad_line(path, number, "no `id`", 'an object like {"id": "...", "log_p": -8.5}')
    completion, log_p = told.get("completion"), told.get("log_p")
    if completion is None and log_p is None:
        raise _bad_line(path, number, "neither", "`completion`, `log_p` or both")
    if completion is not None and not isinstance(completion, str):
        raise _bad_line(path, number, "a completion that is no string", "what was generated")
    if log_p is None:
        return told["id"], completion, None
    is_number = isinstance(log_p, int | float) and not isinstance(log_p, bool)
    if not is_number or not math.isfinite(log_p) or log_p > 0:
        raise _bad_line(path, number, "a log_p that cannot be", "a number of nats, 0 or less")
    return told["id"], completion, float(log_p)


def _bad_line(path: Path, number: int, found: str, expected: str) -> InputError:
    return InputError(
        "A line is no answer to a canary.",
        where=f"--answers {path}, line {number}",
        found=found,
        expected=expected,
    )


def named(missing: Collection[str]) -> str:
    """Return how many ids are missing, with the names of the first."""
    first = ", ".join(sorted(missing)[:MOST_NAMED])
    more = ", ..." if len(missing) > MOST_NAMED else ""
    return f"{len(missing):,} ({first}{more})"
