"""The settings of the report: what it is of, what it shows, what it is held against."""

from __future__ import annotations

import datetime
from typing import Annotated

from pydantic import Field, field_validator

from pipeline.config.fields import Names, Place, Section, no_longer_than

Line = Annotated[str, no_longer_than(200, "it is a line of the first page")]


class ReportConfig(Section):
    """What the report and `rote explain` show of the texts, and what they are held against."""

    excerpts: bool = Field(True, description="quote short excerpts; false for sensitive corpora")
    mask: bool = Field(
        True,
        description="hide e-mail addresses, phone, card and account numbers (IBAN) and keys in "
        "excerpts, by their form",
    )
    against: Place = Field("", description="another run folder: the report tells what changed")
    title: Line = Field(
        "", description="what the report is of, such as the corpus and its release; on its top"
    )
    owner: Line = Field("", description="who answers for the corpus; on the report's first page")
    date: Line = Field(
        "", description="the day of the report, as you write it: a run folder knows no clock"
    )
    apart: Names = Field(
        (),
        description="source groups that are there to be found, such as planted ones: lists of the "
        "worst and alarms leave them out, a section of their own tells what was found",
    )

    @field_validator("title", "owner", "date", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Return a number or a day, as TOML has them without quotes, as it is written."""
        is_plain = isinstance(value, int | float | datetime.date) and not isinstance(value, bool)
        return str(value) if is_plain else value
