"""What `rote compare` says: two models on one panel, in words for a terminal, or as JSON."""

from __future__ import annotations

import json

from pipeline.engine.tables import Row
from pipeline.inspect.paired import prompt_rows, table
from pipeline.inspect.two_models import NEARLY, TwoModels
from pipeline.report.quotes.quotes import label

KEYS = ("both", "only_first", "only_second", "neither")
PROMPT_HEAD = (
    "", "prompts", "families", "recited by prefix", "by prompt", "score prefix", "prompt", "gain",
)  # fmt: skip
HEAD = ("", "sequences", "both", "only A", "only B", "neither", "families", "p")


def as_json(of: TwoModels) -> str:
    """Return the comparison as JSON in ASCII."""
    found = {
        "first": of.first.name,
        "second": of.second.name,
        "sequences": len(of.panel),
        "left_out": of.left_out,
        "nearly_within": NEARLY,
        "rows": table(of),
        "prompts": prompt_rows(of),
        "prompts_not_found": of.not_found,
    }
    return json.dumps(found, indent=1)


def in_words(of: TwoModels) -> str:
    """Return the comparison in words and tables."""
    head = (
        f"A: {label(of.first.name)}\nB: {label(of.second.name)}\n"
        f"{len(of.panel):,} sequences of 64 tokens; a suffix of 32 is recited from the 32 before. "
        "Families: those of which only A, and only B, recites any; p: McNemar's, exact."
    )
    parts = [head]
    if of.left_out:
        parts.append(f"{of.left_out:,} more are shorter than 64 tokens of these models.")
    rows = table(of)
    for how, meaning in (("exactly", ""), ("nearly", f", within {NEARLY:.0%} of its tokens")):
        own = [row for row in rows if row["recited"] == how]
        parts.append(f"Recited {how}{meaning}\n" + _lines(own))
    if of.asked is not None:
        parts.append(_prompts(of))
    return "\n\n".join(parts)


def _prompts(of: TwoModels) -> str:
    """Return what prompts of a file gain over prefixes, in words."""
    lines: list[tuple[str, ...]] = [PROMPT_HEAD]
    for row in prompt_rows(of):
        low, high = row["gain_95"]
        numbers = [f"{row[key]:,}" for key in ("prompts", "families", "by_prefix", "by_prompt")]
        scores = [f"{row[key]:.3f}" for key in ("score_prefix", "score_prompt")]
        lines.append(
            (row["model"], *numbers, *scores, f"{row['gain']:+.3f} [{low:+.3f}, {high:+.3f}]")
        )
    missing = f"\n{of.not_found:,} lines are for no sequence of this panel." if of.not_found else ""
    return (
        "Prompts of the file beside the prefix of the same sequence. Score: ROUGE-L of what is "
        "said with the true suffix, less that of the prompt itself; gain with its 95% interval by "
        "family\n" + _even(lines) + missing
    )


def _lines(rows: list[Row]) -> str:
    """Return rows as lines of even columns."""
    lines: list[tuple[str, ...]] = [HEAD]
    for row in rows:
        name = "all" if row["kind"] == "all" else f"{row['kind']} {label(row['of'], 30)}"
        numbers = [f"{row[key]:,}" for key in ("sequences", *KEYS)]
        families = f"{row['families_only_first']:,}, {row['families_only_second']:,}"
        lines.append((name, *numbers, families, f"{row['p']:.2g}"))
    return _even(lines)


def _even(lines: list[tuple[str, ...]]) -> str:
    """Return lines of even columns."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  "
        + line[0].ljust(widths[0])
        + "".join(
            "  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)
        )
        for line in lines
    )
