"""Run the campaign: `python -m tests.campaign --minutes 25`; again goes on where it stopped.

Every part takes its turns until the time is over. The state file holds a line a case, so a campaign
can be stopped at any time and goes on with the next case; another seed tries other things.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from tests.campaign import (
    damages,
    flips,
    fuzz,
    hostile,
    inputs,
    kills,
    power,
    prefect_kills,
    refusals,
)
from tests.campaign.case import BAD, Case, Found, Result, worker_environment
from tests.campaign.ground import Ground
from tests.campaign.table import markdown, table

CASES: dict[str, Callable[[Ground, int], Iterator[Case]]] = {
    "kills": kills.cases,
    "prefect": prefect_kills.cases,
    "damages": damages.cases,
    "flips": flips.cases,
    "refusals": refusals.cases,
    "power": power.cases,
    "inputs": inputs.cases,
    "hostile": hostile.cases,
    "fuzz": fuzz.cases,
}
ENDLESS = {"kills", "prefect", "flips", "fuzz"}
SHARES = {
    "kills": 2.0,
    "prefect": 0.1,
    "damages": 3.0,
    "flips": 4.0,
    "refusals": 2.0,
    "power": 1.5,
    "inputs": 0.7,
    "hostile": 1.5,
    "fuzz": 0.5,
}
"""How many cases of each part come for those of the others."""
MOST = {"flips": 240}
"""Cases of a part without an end that are enough."""


def main() -> int:
    """Try cases until the time is over, then write the table; 1 when an outcome is a bad one."""
    asked = _arguments()
    worker_environment()
    results = [Result(**json.loads(line)) for line in _lines(asked.state)]
    if asked.minutes:
        with tempfile.TemporaryDirectory(prefix="rote-campaign-") as work:
            _campaign(asked, Path(work), results)
    latest = {
        (one.part, one.name): one for one in results
    }  # a case that was tried again counts once
    found = table(latest.values(), _read_planned(asked.state))
    found["seed"] = asked.seed
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(markdown(found))
    for one in found["bad"]:
        sys.stdout.write(f"{json.dumps(one)}\n")
    return int(bool(found["bad"]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=25.0, help="0: only the table")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--state", type=Path, default=Path(".campaign/state.jsonl"))
    parser.add_argument("--json", type=Path, help="also write the table there")
    parser.add_argument("--parts", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--bad", action="store_true", help="try again what ended badly before")
    return parser.parse_args()


def _lines(state: Path) -> list[str]:
    return state.read_text().splitlines() if state.exists() else []


def _campaign(asked: argparse.Namespace, work: Path, results: list[Result]) -> None:
    until = time.monotonic() + 60 * asked.minutes
    asked.state.parent.mkdir(parents=True, exist_ok=True)
    ground = Ground(work / "ground")
    ground.folder.mkdir()
    known = {(one.part, one.name) for one in results if not (asked.bad and one.outcome in BAD)}
    done = Counter(part for part, _ in known)
    streams = {part: _due(part, ground, asked, known) for part in asked.parts}
    with asked.state.open("a") as state:
        while streams and time.monotonic() < until:
            part = min(streams, key=lambda one: done[one] / SHARES[one])
            case = next(streams[part], None)
            if case is None or done[part] >= MOST.get(part, math.inf):
                del streams[part]
                continue
            result = _tried(case, work / "case")
            done[part] += 1
            results.append(result)
            state.write(json.dumps(asdict(result)) + "\n")
            state.flush()
            if result.outcome in BAD:
                sys.stderr.write(f"{result}\n")
    _write_planned(asked, ground)


def _due(
    part: str, ground: Ground, asked: argparse.Namespace, known: set[tuple[str, str]]
) -> Iterator[Case]:
    """Yield the cases of a part that were not tried yet."""
    for case in CASES[part](ground, asked.seed):
        if (part, case.name) not in known:
            yield case


def _tried(case: Case, folder: Path) -> Result:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    seen = ""
    try:
        outcome = case.act(folder)
    except Found as found:
        outcome, seen = found.outcome, found.seen.replace(str(folder), "FOLDER")
    weight = getattr(outcome, "weight", 1)
    return Result(case.part, case.row, case.name, str(outcome), seen, weight)


def _write_planned(asked: argparse.Namespace, ground: Ground) -> None:
    """Write down how many cases the parts have that have an end."""
    planned = _read_planned(asked.state)
    for part in asked.parts:
        if part not in ENDLESS:
            planned[part] = sum(1 for _ in islice(CASES[part](ground, asked.seed), 100_000))
    asked.state.with_suffix(".planned").write_text(json.dumps(planned) + "\n")


def _read_planned(state: Path) -> dict[str, int]:
    path = state.with_suffix(".planned")
    return dict(json.loads(path.read_text())) if path.exists() else {}


if __name__ == "__main__":
    sys.exit(main())
