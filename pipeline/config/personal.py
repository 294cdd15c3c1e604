"""The settings of the search for personal data."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from pipeline.config.fields import Section, no_longer_than

Kind = Literal["email", "phone", "ip", "iban", "card", "national_id", "key"]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Regions = Annotated[tuple[Region, ...], no_longer_than(300, "there are no more")]


class PersonalConfig(Section):
    """Personal data in texts: what is looked for, when it is asked for (docs/personal.md)."""

    find: bool = Field(
        False,
        description="a filter looks for personal data in every text; so it does when a rule of the "
        "policy needs it",
    )
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = Field(
        get_args(Kind),
        description="email, phone, ip, iban, card, national_id, key: which are looked for",
    )
    regions: Regions = Field(
        ("US", "GB"),
        description="countries, two capitals each, whose phone numbers are found as they are "
        "written at home; those with a plus and a country code are found of every country",
    )
