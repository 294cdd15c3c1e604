"""Check a model for canaries, top to bottom: key, answers, figures, verdict, `result.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.canaries.checked import figures
from pipeline.canaries.checked.answers import Answers, named
from pipeline.canaries.checked.verdict import verdict
from pipeline.canaries.key import Key, read_key, write_private
from pipeline.engine.files import write_whole
from pipeline.engine.system import writing
from pipeline.export.source import require_new

RESULT = "result.json"
ASSUMED = (
    "That twins and references were never trained on is assumed; no answer can show it.",
    "Canaries stand for exact copies at random places, not for edited or crowded text.",
)


def check_canaries(folder: Path, ask: Callable[[Key], Answers]) -> dict[str, Any]:
    """Return what a model remembers of the canaries of a folder, and write `result.json` there.

    Args:
        folder: that `rote canaries RUN --out FOLDER` wrote.
        ask: returns the answers of the model.
    """
    key = read_key(folder)
    answers = ask(key)
    found = _judged(key, answers)
    with writing(folder):
        write_private(folder / RESULT, (json.dumps(found, indent=1) + "\n").encode())
    return found


def _judged(key: Key, answers: Answers) -> dict[str, Any]:
    """Return every figure with how many canaries it rests on."""
    of = figures.panel_of(key, answers)
    found: dict[str, Any] = {
        "asked": answers.source,
        "key": key.digest,
        "made": {k: v for k, v in key.about.items() if k != "reference_space"},
        "answers": _answered(key, answers),
        "notes": [*answers.notes, *ASSUMED],
        "forecast": key.forecast,
        "extraction": figures.extraction(of),
        "exposure": figures.exposures(of),
        "recognition": figures.recognition(of),
        "preferred": figures.preferred(of),
        "calibration": figures.calibration(of),
    }
    return {**_rounded(found), "verdict": verdict(found)}


def _rounded(value: Any) -> Any:  # noqa: ANN401 - what JSON can hold
    """Return figures with as many digits as mean something, whatever adds them up."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _answered(key: Key, answers: Answers) -> dict[str, Any]:
    """Return of how many texts there is an answer of each kind, and names of those without any."""
    pairs = {one.id for one in key.canaries if one.pair >= 0}
    every = {one.id for one in key.canaries}
    missing = pairs - answers.recited.keys() - answers.log_p.keys()
    return {
        "pairs": len(pairs) // 2,
        "references": len(every) - len(pairs),
        "completions": len(pairs & answers.recited.keys()),
        "log_p": len(every & answers.log_p.keys()),
        "without_an_answer": named(missing) if missing else None,
    }


def write_prompts(folder: Path, path: Path, *, suffixes: bool) -> int:
    """Write the prefix of each canary and twin by id as JSON Lines, and return how many.

    Nothing in it tells which are inside.

    Args:
        folder: of the canaries.
        path: the new file.
        suffixes: whether the suffix is told, too, and references, for log probabilities.

    Raises:
        InputError: Something is there already.
    """
    require_new(path, "--prompts")
    key = read_key(folder)
    chosen = [one for one in key.canaries if suffixes or one.pair >= 0]
    lines = [
        json.dumps(
            {"id": one.id, "prefix": one.prefix, **({"suffix": one.suffix} if suffixes else {})},
            ensure_ascii=False,
        )
        for one in chosen
    ]
    with writing(path.absolute().parent):
        write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)
