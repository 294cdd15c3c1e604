"""Units of work, one after the other: what scans the small corpus of a back-test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.engine.stage import Receipt, StageFunction, Work


def in_order(
    stage: str,  # noqa: ARG001 - the form of a Mapper
    function: StageFunction,
    works: Iterable[Work],
) -> Iterator[tuple[int, Receipt]]:
    """Yield each receipt with the place of its work."""
    for place, work in enumerate(works):
        yield place, function(work)
