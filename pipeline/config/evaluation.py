"""The settings of what a filter keeps out: evaluation items, and rows that another run has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.config.fields import (
    Column,
    Count,
    Fraction,
    Place,
    Section,
    at_most,
    no_longer_than,
)

Files = Annotated[tuple[Place, ...], no_longer_than(1_000, "all are read before a filter")]


class DecontaminateConfig(Section):
    """Rows that hold an item of an evaluation set, and what becomes of them.

    Nothing is searched without `files`. A field of an item is one of its text columns, so that
    questions and answers are looked for apart (docs/contamination.md).
    """

    files: Files = Field((), description="evaluation files, folders or globs; empty: off")
    columns: Annotated[tuple[Column, ...], no_longer_than(100, "each is searched")] = Field(
        (), description="their columns with text; empty: those of the corpus, or a guess"
    )
    action: Literal["drop", "cut", "flag"] = Field(
        "drop",
        description="drop removes a row that holds an item; cut takes the words of the item out of "
        "it, and removes it when fewer than policy.cut_minimum words would be left; flag leaves it "
        "and names the item in its struct",
    )
    words: Annotated[Count, at_most(1_000, "no item would be found")] = Field(
        13, description="words of a run by which a field of at least so many words is found"
    )
    share: Fraction = Field(
        0.0,
        description="share of the field's words that such runs of one row must cover; 0: one run "
        "is enough",
    )
    containment: Fraction = Field(
        0.6,
        description="share of the shingles of a field of at least `words` words at or above which "
        "a row that has them holds it, though a word is changed; 0: off; a row is a near copy of "
        "a field at near.threshold as well",
    )
    short_words: Annotated[Count, at_most(1_000, "no item would be found")] = Field(
        8,
        description="a field of at least so many words, but fewer than `words`, is found where it "
        "occurs whole; a shorter one never by itself, only told beside another field of its item",
    )

    @model_validator(mode="after")
    def _ordered(self) -> DecontaminateConfig:
        if self.short_words > self.words:
            raise ValueError("decontaminate.short_words must not be above decontaminate.words")
        return self


class MinusConfig(Section):
    """Another run whose rows are kept out of this one: exact copies, near copies, excerpts of them.

    Thresholds are those of `near`. The other run is only read (docs/minus.md).
    """

    run: Place = Field(
        "",
        description="a scanned run folder of the same sketch.* and text.normalize; empty: off",
    )
