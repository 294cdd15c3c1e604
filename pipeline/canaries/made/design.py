"""What is asked for: which kinds of canaries, at which doses, how many pairs of each."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.score.sequences import plants

RANDOM, NATURAL = "random", "natural"
KINDS = (RANDOM, NATURAL)
DOSES = plants.DOSES[:7]  # 1 to 64
MOST_DOSES, MOST_DOSE = 16, 10_000
MOST_PAIRS = 100
MOST_REFERENCES = 10_000
MOST_ROWS = 5_000_000  # of the file to mix in


@dataclass(frozen=True)
class Design:
    """Which canaries are made.

    Attributes:
        doses: times that a canary is in the file to mix in, ascending.
        pairs: of each kind and dose; one text of a pair goes in, the other stays out.
        kinds: random, natural or both.
        references: random texts beside the pairs that are never mixed in, for finer ranks.
        seed: of all draws.
        passages: files of the user's own texts for natural canaries; empty: made of the corpus.
    """

    doses: tuple[int, ...] = DOSES
    pairs: int = 8
    kinds: tuple[str, ...] = KINDS
    references: int = 200
    seed: int = 1
    passages: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """The rows of the file to mix in."""
        return len(self.kinds) * self.pairs * sum(self.doses)

    def texts(self, kind: str) -> int:
        """Return how many texts of a kind are needed."""
        own = 2 * self.pairs * len(self.doses)
        return own + (self.references if kind == RANDOM else 0)


def design_of(doses: str, kinds: str, design: Design) -> Design:
    """Return a design with doses and kinds as they are typed.

    Args:
        doses: whole numbers, with commas between them.
        kinds: names, likewise.
        design: the rest of it.

    Raises:
        ConfigError: When something of it is not within its bounds.
    """
    numbers = [part.strip() for part in doses.split(",") if part.strip()]
    named = tuple(dict.fromkeys(part.strip() for part in kinds.split(",") if part.strip()))
    if not numbers or not all(part.isascii() and part.isdigit() for part in numbers):
        raise _refused("--doses", doses, "whole numbers, as 1,2,4,8")
    found = Design(
        tuple(sorted({int(part[:9]) for part in numbers})),
        design.pairs,
        tuple(kind for kind in KINDS if kind in named),
        design.references,
        design.seed,
        design.passages,
    )
    if not named or set(named) - set(KINDS):
        raise _refused("--kinds", kinds, " or ".join(KINDS) + ", or both with a comma")
    return _within_bounds(found)


def _within_bounds(design: Design) -> Design:
    """Return a design that is within its bounds.

    Raises:
        ConfigError: When it is not.
    """
    shown = ",".join(map(str, design.doses))
    if not 1 <= design.doses[0] <= design.doses[-1] <= MOST_DOSE:
        raise _refused("--doses", shown, f"each from 1 to {MOST_DOSE:,}")
    if len(design.doses) > MOST_DOSES:
        raise _refused("--doses", f"{len(design.doses)} doses", f"at most {MOST_DOSES}")
    for option, value, least, most in (
        ("--count", design.pairs, 1, MOST_PAIRS),
        ("--references", design.references, 0, MOST_REFERENCES),
        ("--seed", design.seed, 0, 2**31 - 1),
    ):
        if not least <= value <= most:
            raise _refused(option, f"{value:,}", f"{least} to {most:,}")
    if design.rows > MOST_ROWS:
        found = f"{design.rows:,} rows to mix in"
        raise _refused("--doses, --count", found, f"at most {MOST_ROWS:,}")
    if design.passages and NATURAL not in design.kinds:
        raise _refused("--passages", "no natural canaries", "natural among --kinds")
    return design


def _refused(where: str, found: str, expected: str) -> ConfigError:
    return ConfigError("Such canaries cannot be made.", where=where, found=found, expected=expected)
