"""The base class of the sections of the configuration, and the types of their fields.

Every number and every list has a bound, so that a slip of the keyboard is refused in words instead
of a run that never ends. A bound stands where the code below it would no longer do what its
description says, or needs memory that no plan has.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Annotated, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

SEEDS = 2**63  # a seed is a signed number of 64 bits wherever it goes

Count = Annotated[int, Field(ge=1)]
Ratio = Annotated[float, Field(gt=0.0, le=1.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Bytes = Annotated[int, Field(ge=0)]


def at_most(limit: float, why: str) -> AfterValidator:
    """Return a check that a number is at most `limit`; its message says why."""

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"at most {limit:,}: {why}")
        return value

    return AfterValidator(check)


def no_longer_than(limit: int, why: str) -> AfterValidator:
    """Return a check that a string or a list has at most `limit` parts; its message says why."""

    def check(value: Sized) -> Sized:
        if len(value) > limit:
            raise ValueError(f"at most {limit:,} long: {why}")
        return value

    return AfterValidator(check)


Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Column = Annotated[str, no_longer_than(1_000, "it is the name of a column")]
Suffix = Annotated[str, Field(pattern=r"^(code|\.[A-Za-z0-9_+-]{1,20})$")]
Place = Annotated[str, no_longer_than(4_096, "a path is not longer")]
Names = Annotated[
    tuple[Annotated[str, no_longer_than(10_000, "it is the name of a source")], ...],
    no_longer_than(10_000, "every row is held against each"),
]


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys and numbers without end."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_tuple(cls, value: object, info: ValidationInfo) -> object:
        """Take a text in place of a list as a list of it."""
        kind = cls.model_fields[info.field_name or ""].annotation
        return (value,) if isinstance(value, str) and get_origin(kind) is tuple else value
