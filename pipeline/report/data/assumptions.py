"""What the numbers of a report rest on, in plain words; nothing here promises privacy."""

from __future__ import annotations

from pipeline.config.sections import Config


def assumptions(windows: int, config: Config) -> list[str]:
    """Return `assumptions` of report.json: the limits of the report, a paragraph each.

    Args:
        windows: word windows counted; n keyed 64-bit hashes make n^2 / 2^65 wrong counts.
        config: of the run.
    """
    wrong = windows**2 / 2.0**65
    shingle = config.sketch.shingle_words
    return [
        (
            "No part of this page is a privacy guarantee. A row that stays can still be "
            "memorized, and text that occurs once can be extracted."
        ),
        (
            "Every removal of a copy is proved against a document that stays: the same bytes, "
            "or the exact Jaccard of the two sets of shingles. Nothing was removed because a "
            "third document resembled both."
        ),
        (
            "Exact copies are grouped by a cryptographic 128-bit hash of the bytes. Windows "
            f"are counted by keyed 64-bit hashes; over {windows:,} windows that makes "
            f"{wrong:.2g} wrong counts to be expected."
        ),
        (
            "Near copies are looked for by MinHash, so a pair can be missed; how many is "
            "estimated under Pairs. A missed pair leaves a copy in the corpus; it never "
            "removes a row."
        ),
        (
            f"A document of fewer than {shingle} words is a near copy only of one with all the "
            "same words. Text without words is only ever an exact copy."
        ),
        (
            "Quotes are shortened. E-mail addresses and obvious secrets in them are masked "
            "and invisible characters written out; ids, sources and paths are shown as they "
            "are in the corpus."
        ),
        *_containment(config),
    ]


def _containment(config: Config) -> list[str]:
    """Return the paragraph about excerpts; nothing when none were removed."""
    share, window = config.near.containment, config.window.words
    if not share:
        return []
    return [
        (
            f"A document was removed as contained where at least {share:g} of its shingles are in "
            "a longer document that stays; what else it says went with it, and need not be in any "
            f"that stays. Excerpts are looked for by runs of {window} equal words: one that is "
            "shorter, or edited more often than that, stays."
        )
    ]
