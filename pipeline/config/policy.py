"""The sections of the configuration that a filter reads: the policy, the mitigations, the writing.

None of them is part of what a scan or a score depends on.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.config.fields import (
    Column,
    Count,
    Fraction,
    Names,
    Place,
    Section,
    at_most,
    no_longer_than,
)

Rule = Literal["drop-copies", "keep-n", "drop-risk", "drop-personal", "cut-spans", "mask-personal"]
MASKS, DROPS = "mask", "drop"
CUT_SPANS, MASK_PERSONAL, DROP_PERSONAL = "cut-spans", "mask-personal", "drop-personal"
CHANGE_TEXTS = (CUT_SPANS, MASK_PERSONAL)


RARE = "then no token is left out"
CONTEXT = "so many tokens are hashed for every token"
Kept = Annotated[Count, at_most(2**31 - 1, "documents are counted in 32 bits")]


class SourcePolicy(Section):
    """What differs for one source: the rules that may take its rows, and their thresholds.

    Attributes:
        rules: of policy.rules, those that apply; None: all.
        keep: in place of policy.keep.
        risk: in place of policy.risk.
    """

    rules: tuple[Rule, ...] | None = None
    keep: Kept | None = None
    risk: Fraction | None = None


class PolicyConfig(Section):
    """Which rules decide about rows, in order; the first removal wins."""

    rules: tuple[Rule, ...] = Field(
        ("drop-copies",),
        description="drop-copies removes documents that have a keeper; keep-n all but some of them;"
        " drop-risk what is still likely to be memorized then; drop-personal what holds personal"
        " data; cut-spans, after these, cuts repeated passages out of what stays; mask-personal,"
        " always last, writes [email], [phone] ... in place of personal data; no rules keep all",
    )
    keep: Kept = Field(
        2, description="keep-n: documents that stay of a keeper and those that have it as keeper"
    )
    risk: Fraction = Field(
        0.0,
        description="drop-risk: documents go at this risk or above, after the rules before it;"
        " 0: no threshold",
    )
    risk_share: Fraction = Field(
        0.0,
        description="drop-risk: this share of the documents with a forecast, the riskiest, goes;"
        " 0: none",
    )
    personal: Annotated[Count, at_most(10**9, "no document has more")] = Field(
        1, description="drop-personal: documents with at least so many finds go"
    )
    cut: Literal["later", "mask", "all"] = Field(
        "later",
        description="cut-spans: later keeps the first occurrence of a repeated window that stays;"
        " mask leaves the text and lists the bytes in `masked`; all keeps no occurrence",
    )
    cut_minimum: Annotated[Count, at_most(10**9, "no document has more words")] = Field(
        20, description="cut-spans: a document that would have fewer words left is not cut"
    )
    cut_short: Literal["leave", "drop"] = Field(
        "leave",
        description="cut-spans: what becomes of such a document; drop needs a cut_minimum of at"
        " most window.words, so that no last occurrence goes with it",
    )
    exempt: Names = Field(
        (),
        description="sources (values of the source column, or source groups) that never lose a row"
        " or a word",
    )
    sources: Annotated[
        dict[str, SourcePolicy], no_longer_than(10_000, "every row is held against each")
    ] = Field(
        {},
        description="per source (as in exempt): rules (of policy.rules, those that apply), keep and"
        " risk in place of the above",
    )

    @model_validator(mode="after")
    def _rules_fit(self) -> PolicyConfig:
        """Return the policy; refuse rules that contradict one another.

        Raises:
            ValueError: When a rule is named twice, misplaced, or lacks its threshold.
        """
        if len(set(self.rules)) < len(self.rules):
            raise ValueError("a rule is named twice in policy.rules")
        changing = [rule for rule in CHANGE_TEXTS if rule in self.rules]
        if changing and self.rules[-len(changing) :] != tuple(changing):
            raise ValueError(
                f"{' and '.join(changing)} must be the last of policy.rules: what stays is changed"
            )
        if self.cut == MASKS and set(CHANGE_TEXTS) <= set(self.rules):
            raise ValueError(
                "policy.cut = mask and the rule mask-personal exclude each other: bytes that are "
                "listed are those of a text that is not changed"
            )
        thresholds = (
            self.risk,
            self.risk_share,
            *(policy.risk or 0 for policy in self.sources.values()),
        )
        if "drop-risk" in self.rules and not any(thresholds):
            raise ValueError("drop-risk needs policy.risk or policy.risk_share")
        for name, policy in self.sources.items():
            unknown = sorted(set(policy.rules or ()) - set(self.rules))
            if unknown:
                raise ValueError(f"policy.sources.{name} names {unknown[0]}, not in policy.rules")
        return self


class MitigationConfig(Section):
    """What is added for training, instead of or besides removal; all off by default."""

    sink_id: bool = Field(
        False,
        description="adds sink_id (MemSinks): the same for all copies and verified near copies",
    )
    weights: Literal["none", "exact", "effective"] = Field(
        "none", description="adds weight, one over this count among the rows that stay"
    )
    goldfish_k: Annotated[int, at_most(2**31 - 1, RARE)] = Field(
        0,
        ge=0,
        description="adds loss_mask over tokens: one of k, 2 or more, is left out of the loss; "
        "0: off",
    )
    goldfish_h: Annotated[Count, at_most(1_000, CONTEXT)] = Field(
        13, description="tokens before a token whose hash decides whether it is left out"
    )
    tokenizer: Place = Field(
        "",
        description="a tokenizer.json or a folder with one, for loss_mask and memfree; empty: that"
        " of the proxies",
    )
    memfree_n: Annotated[int, at_most(1_000, "longer runs of tokens hardly recur")] = Field(
        0,
        ge=0,
        description="writes mitigation/memfree.bloom, a filter of risky runs of n tokens; 0: off",
    )
    memfree_words: Annotated[int, at_most(1_000, "longer runs of words hardly recur")] = Field(
        0,
        ge=0,
        description="writes mitigation/memfree-words.bloom, a filter of risky runs of so many "
        "words, case and spaces aside; 0: off",
    )
    memfree_risk: Fraction = Field(
        0.5, description="sequences at this risk or above give their runs to the filters"
    )
    memfree_bits: Annotated[Count, at_most(64, "one run in 10^13 is then a false alarm")] = Field(
        16, description="bits of the filter a run, rounded up to 2^m in all"
    )

    @field_validator("goldfish_k")
    @classmethod
    def _leaves_a_loss(cls, k: int) -> int:
        if k == 1:
            raise ValueError("of every token none would be left in the loss: 0, or 2 or more")
        return k


class EmitConfig(Section):
    """How kept and removed shards are written."""

    column: Column = Field(
        "rote", min_length=1, description="name of the struct column that is added"
    )
    format: Literal["parquet", "jsonl"] = Field(
        "parquet",
        description="jsonl writes JSON Lines instead: for reading elsewhere, types are lost",
    )
