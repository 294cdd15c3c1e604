"""Single bits of the manifest turned over: every command refuses, and touches nothing."""

import functools
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.absent import MANIFEST
from tests.campaign.case import Case, Found, same_bytes, told
from tests.campaign.damages import question
from tests.campaign.ground import Ground, command
from tests.e2e.command import files, rote

COMMANDS = ("check", "explain", "query", "filter", "report", "scan")


def cases(ground: Ground, seed: int) -> Iterator[Case]:
    """Yield flips without end, each with one of the commands."""
    draw = random.Random(f"{seed} flips")
    bits = (ground.reported / MANIFEST).stat().st_size * 8
    number = 0
    while True:
        asked = COMMANDS[number % len(COMMANDS)]
        # every third within the first 64 bytes: the digest itself, and what stands around it
        bit = draw.randrange(64 * 8 if number % 3 == 0 else bits)
        name = f"{number:04d} bit {bit} {asked}"
        yield Case("flips", asked, name, functools.partial(_tried, ground, bit, asked))
        number += 1


def _tried(ground: Ground, bit: int, asked: str, folder: Path) -> str:
    run = shutil.copytree(ground.reported, folder / "run")
    data = bytearray((run / MANIFEST).read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    (run / MANIFEST).write_bytes(data)
    before = files(run)
    reads = asked in {"check", "explain", "query"}
    words = question(ground, asked, run) if reads else command(asked, ground.corpus, run)
    outcome = told(rote(*words))
    same_bytes(files(run), before, "lost")
    if outcome != "refused":
        raise Found("wrong", "a manifest with a flipped bit was accepted")
    return outcome
