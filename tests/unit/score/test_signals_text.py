"""Signals of tokens and text that need no model, on values worked out by hand."""

import math

import numpy as np
import pytest

from pipeline.score.signals.markers import non_latin_share, redaction_share
from pipeline.score.signals.rarity import rare_share, rare_tokens, token_bits
from pipeline.score.signals.repetition import (
    continuation_share,
    digits_folded,
    suffix_entropy,
    suffix_in_prefix,
    template_share,
)

NOTHING_FOLDED = np.arange(1000)


def test_entropy_of_different_and_of_equal_tokens():
    """Eight different tokens have 3 bits each, equal ones none; halves and quarters 1.5."""
    rows = np.array([[9, 1, 2, 3, 4, 5, 6, 7, 8], [0] + [5] * 8, [0, 1, 1, 1, 1, 2, 2, 3, 3]])
    assert suffix_entropy(rows, 8).tolist() == [3.0, 0.0, 1.5]


def test_suffix_in_prefix_counts_whole_pieces():
    """Of the suffix 1 2 3 4 the prefix holds the 3-gram 1 2 3 and not 2 3 4: a half."""
    rows = np.array([[1, 2, 3, 9, 1, 2, 3, 4], [5, 6, 7, 8, 5, 6, 7, 8], [3, 2, 1, 0, 1, 2, 3, 4]])
    assert suffix_in_prefix(rows, 4).tolist() == [0.5, 1.0, 0.0]


def test_a_piece_across_the_border_is_not_in_the_prefix():
    """A repetition whose first time is partly in the suffix does not count."""
    assert suffix_in_prefix(np.array([[9, 9, 1, 2, 3, 1, 2, 3]]), 4).tolist() == [0.0]


def test_template_share_of_a_loop_and_of_fresh_tokens():
    """A loop is copied whole, fresh tokens never; one new token in a loop costs four guesses."""
    loop, fresh = [1, 2, 3] * 6, list(range(10, 28))
    broken = [*loop[:12], 99, *loop[:5]]
    rows = np.array([loop, fresh, broken])
    # of 1 2 3 99 1 2 3 1 2: not 99, nor 1 and 2 after it, nor the 1 where 99 came last time
    assert template_share(rows, 9, NOTHING_FOLDED).tolist() == pytest.approx([1.0, 0.0, 5 / 9])


def test_template_share_guesses_what_came_last():
    """Where two continuations were seen, the later one is the guess."""
    rows = np.array([[1, 2, 3, 1, 2, 4, 1, 2, 4], [1, 2, 3, 1, 2, 4, 1, 2, 3]])
    assert template_share(rows, 1, NOTHING_FOLDED).tolist() == [1.0, 0.0]


def test_template_share_follows_the_longest_agreement():
    """After 8 1 2 the guess is what followed 8 1 2, not the later 9 1 2."""
    rows = np.array([[8, 1, 2, 3, 9, 1, 2, 4, 8, 1, 2, 3], [8, 1, 2, 3, 9, 1, 2, 4, 8, 1, 2, 4]])
    assert template_share(rows, 1, NOTHING_FOLDED).tolist() == [1.0, 0.0]


def test_template_share_looks_at_what_stands_before_only():
    """A suffix's own earlier tokens may be copied, later ones never."""
    rows = np.array([[7, 8, 9, 1, 2, 3, 1, 2, 3, 1, 2]])
    assert template_share(rows, 6, NOTHING_FOLDED).tolist() == pytest.approx([3 / 6])


def test_numbered_lists_are_templates():
    """Tokens that differ in digits alone are one, so a counted list is copied."""
    spelled = [b"", b"item", b" 1", b" 2", b" 3", b"\n", b" 12", b"x1"]
    folded = digits_folded(spelled)
    assert folded.tolist() == [0, 1, 2, 2, 2, 5, 6, 7]
    rows = np.array([[1, 2, 5, 1, 3, 5, 1, 4, 5]])
    assert template_share(rows, 3, folded).tolist() == [1.0]
    assert template_share(rows, 3, NOTHING_FOLDED).tolist() == pytest.approx([0.0])


def test_parts_do_not_change_shares(monkeypatch):
    """Rows are gone through in parts; their size changes nothing."""
    rows = np.random.Generator(np.random.PCG64(3)).integers(0, 6, (50, 64))
    whole = template_share(rows, 32, NOTHING_FOLDED), suffix_in_prefix(rows, 32)
    monkeypatch.setattr("pipeline.score.signals.repetition.ROWS", 7)
    parts = template_share(rows, 32, NOTHING_FOLDED), suffix_in_prefix(rows, 32)
    assert [part.tolist() for part in parts] == [part.tolist() for part in whole]
    assert 0.08 < whole[0].mean() < 0.16  # by chance: a sixth of the pairs seen before


def test_continuation_share_is_one_for_a_well_specified_suffix():
    """A prefix that goes on in one way has 1, one that goes on in four a quarter, never above 1."""
    shares = continuation_share(np.array([5, 2, 3]), np.array([5, 8, 1]))
    assert shares.tolist() == [1.0, 0.25, 1.0]


def test_rare_tokens_are_a_tenth_of_the_mass():
    """Of counts 85, 5, 5, 3, 1, 1 and 0 the rarest tenth is 3, 1, 1 and 0."""
    counts = np.array([85, 5, 5, 3, 1, 1, 0])
    rare = rare_tokens(counts)
    assert rare.tolist() == [False, False, False, True, True, True, True]
    rows = np.array([[0, 0, 3, 1], [0, 0, 0, 0], [6, 5, 4, 3]])
    assert rare_share(rows, rare).tolist() == [0.25, 0.0, 1.0]


def test_token_bits_are_those_of_the_relative_frequency():
    """A token that is half of all has a bit, one of a 64th has 6; an uncounted one counts once."""
    counts = np.array([32, 31, 1, 0])
    assert token_bits(np.array([0, 2, 3]), counts).tolist() == [1.0, 6.0, 6.0]
    assert token_bits(np.array([1]), counts)[0] == pytest.approx(math.log2(64 / 31))


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("seen by [**Doctor Name 12**] today", "[**Doctor Name 12**]"),
        ("history of ___ with pain", "___"),
        ("call <PERSON_1> or [REDACTED]", "<PERSON_1>[REDACTED]"),
        ("card XXXX-1234 of [email protected]", "XXXX[email protected]"),
        ("dear {{ first_name }}, ${HOME} %(user)s", "{{ first_name }}${HOME}%(user)s"),
        ("copyright [yyyy] <your name here>", "<your name here>"),
        ("██████ was told ****", "██████****"),
        ("def name(id): return d[name]  # __init__ xx", ""),
        ("*" * 70 + "_" * 60 + " MAXXXXX", ""),
        ("", ""),
    ],
)
def test_redaction_markers(text, marked):
    """Markers of what was taken out are found; names, rulers and calls of code are not."""
    assert redaction_share(text) == (len(marked) / len(text) if text else 0.0)


def test_letters_of_other_scripts():
    """Accented Latin is Latin; of the letters of a mixed text the share of the others is taken."""
    assert non_latin_share("naïve café Ünïted 123") == 0.0
    assert non_latin_share("天地ab") == 0.5
    assert non_latin_share("привет!") == 1.0
    assert non_latin_share("1, 2 😀") == 0.0
