"""Damage: every file of a finished run folder, in seven ways, then each command on it.

The outcome is the same answer, the same bytes made anew, or a refusal that names the fault.
"""

import functools
import itertools
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.absent import MANIFEST
from tests.campaign.case import Case, Found, same_bytes, told
from tests.campaign.ground import ROW, Ground, command
from tests.e2e.command import files, rote

DAMAGES = ("bit", "half", "zero", "gone", "older", "other", "padded")
READING = ("explain", "query", "check")
CHANGING = ("filter", "report", "run")


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield every file, damage and command once, in a seeded order."""
    names = sorted(
        path.relative_to(ground.whole).as_posix()
        for path in ground.whole.rglob("*")
        if path.is_file()
    )
    every = [
        (name, damage, asked)
        for name, damage in itertools.product(names, DAMAGES)
        if damaged(ground, name, damage) not in {None, (ground.whole / name).read_bytes()}
        or damage == "gone"
        for asked in (*READING, *CHANGING)
    ]
    random.Random(seed).shuffle(every)
    for name, damage, asked in every:
        act = functools.partial(_tried, ground, name, damage, asked)
        yield Case("damages", asked, f"{name} {damage} {asked}", act)


def damaged(ground: Ground, name: str, damage: str) -> bytes | None:
    """Return the bytes that a damaged file has; None for none."""
    data = (ground.whole / name).read_bytes()
    if damage == "gone":
        return None
    if damage == "bit":
        place = len(data) * 2 // 5
        return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :] if data else None
    if damage in {"half", "zero"}:
        return data[: len(data) // 2] if damage == "half" else b""
    other = (ground.older if damage == "older" else ground.other) / name
    if not other.is_file():
        return None
    found = other.read_bytes()
    if damage == "padded":
        return found[: len(data)].ljust(len(data), b"\0")
    return found


def _tried(ground: Ground, name: str, damage: str, asked: str, folder: Path) -> str:
    run = shutil.copytree(ground.whole, folder / "run")
    path, data = run / name, damaged(ground, name, damage)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    before = files(run)
    if asked in READING:
        return _read(ground, run, name, asked, before)
    ended = rote(*command(asked, ground.corpus, run))
    after = files(run)
    if told(ended) == "refused":
        same_bytes(_without(after, name), _without(before, name), "lost")
        return "refused"
    if after == ground.bytes_of_whole:
        return "rebuilt" if ended.performed else "same"
    # the damage was not in its way and stays, for `rote check` to name; all the rest is right
    same_bytes(_without(after, name), _without(ground.bytes_of_whole, name))
    if after.get(name) != before.get(name):
        raise Found("wrong", f"{name} is neither as damaged nor as written")
    return "same"


def _without(found: dict[str, str], name: str) -> dict[str, str]:
    return {one: digest for one, digest in found.items() if one != name}


def _read(ground: Ground, run: Path, name: str, asked: str, before: dict[str, str]) -> str:
    ended = rote(*question(ground, asked, run))
    same_bytes(files(run), before, "lost")
    if asked == "check" and name != MANIFEST:
        if name in ended.out and ended.code == 1:
            return "refused"
        if ended.code == 0 and name.startswith((".lock", "events/")):
            return "same"
        told(ended)
        raise Found("wrong", f"check ended with {ended.code} and did not name {name}")
    if asked == "check" and ended.code == 1 and " differences; " in ended.out:
        return "refused"  # a sound manifest of another run: the files are not those that it has
    if told(ended) == "refused":
        return "refused"
    expected = answer(ground, asked)
    if ended.out.replace(str(run), "RUN") != expected:
        raise Found("wrong", f"another answer: {ended.out[:300]!r} instead of {expected[:300]!r}")
    return "same"


def question(ground: Ground, asked: str, run: Path) -> tuple[str | Path, ...]:
    """Return the command of a question to a run folder."""
    if asked == "explain":
        return ("explain", run, ROW)
    if asked == "query":
        return ("query", run, "--text", _text(ground))
    return ("check", run)


def _text(ground: Ground) -> str:
    """Return a text that is in the corpus, with its end changed."""
    lines = (ground.corpus / "shard-0.jsonl").read_text().splitlines()
    return str(json.loads(lines[1])["text"])[:-20] + " another end of it"


_ANSWERS: dict[str, str] = {}


def answer(ground: Ground, asked: str) -> str:
    """Return what a sound run folder answers."""
    if asked not in _ANSWERS:
        ended = rote(*question(ground, asked, ground.whole))
        told(ended)
        _ANSWERS[asked] = ended.out.replace(str(ground.whole), "RUN")
    return _ANSWERS[asked]
