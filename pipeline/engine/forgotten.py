"""The texts that a run folder was asked to forget, as its manifest lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.engine.stage import Work

FORGOTTEN = "forgotten"  # key of the manifest


def forgotten_texts(work: Work) -> dict[bytes, bool]:
    """Return the hash of each text that is to be forgotten, and whether it was named itself."""
    return listed_texts(work.recalled)


def listed_texts(noted: Mapping[str, Any]) -> dict[bytes, bool]:
    """Return the same of a manifest, or of what a unit of work was given of it."""
    listed = noted.get(FORGOTTEN, ())
    return {bytes.fromhex(text["text_hash"]): text["named"] for text in listed}
