"""The symbols of texts: signs that carry meaning, and no ordinary punctuation."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from pipeline.text import symbols as module
from pipeline.text.symbol_kernels import SYMBOL
from pipeline.text.symbols import symbols


def found(*texts, asked=None):
    """Return the symbols of texts."""
    chosen = np.ones(len(texts), np.bool_) if asked is None else np.array(asked)
    return symbols(pa.array(texts, pa.large_string()), chosen).to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is 3 + 2?", "+"),
        ("What is 3 - 2?", "-"),
        ("3*2, 3 / 2, 3 % 2, 3 ^ 2", "*/%^"),
        ("x < y, x >= y, x == y, x != y", "<>===!="),
        ("a & b | c ~ d", "&|~"),
        ("(a) - (b), 2 ** 8, 7 // 2", "-**//"),
        ("it was -5 there", "-"),
        ("50% off, costs $5, \u20ac7 or \u00a39", "%$\u20ac\u00a3"),
        (
            "play today \U0001f600 \u2764\ufe0f \U0001f44d\U0001f3fd",
            "\U0001f600\u2764\U0001f44d\U0001f3fd",
        ),
        ("\u221a2 \u2248 1.41 \u2260 1.5", "\u221a\u2248\u2260"),
        # ordinary punctuation
        ("well-known - a dash \u2013 and \u2014; 'so' it is... or \"not\"?!", ""),
        ("* a bullet\n- another\n# a title\n**bold** [link](there) `code`", ""),
        ("this/that, R&D-led, COVID-19, (c) \u00a9 \u00ae \u2122 20\u00b0", "&"),
        ("\u2502 a table \u2502 \ufffd", ""),
        ("", ""),
    ],
)
def test_signs_that_carry_meaning_are_symbols(text, expected):
    """Mathematical, currency, emoji; operators between numbers, letters and brackets."""
    assert found(text) == [expected]


def test_what_is_not_asked_for_is_null():
    """Slices of texts and texts in between keep their places."""
    assert found("1 + 1", "2 * 2", "3 / 3", asked=[True, False, True]) == ["+", None, "/"]
    texts = pa.array(["1 + 1", "2 * 2", "3 / 3"], pa.large_string()).slice(1, 2)
    assert symbols(texts, np.array([True, True])).to_pylist() == ["*", "/"]
    assert found("1 + 1", asked=[False]) == [None]
    assert found() == []


def test_many_symbols_are_told_by_a_digest():
    """They take little room, and are equal only if all of them are."""
    one, same, other = found("=" * 5000, "=" * 5000 + " a", "=" * 4999 + "+")
    assert one == same
    assert one != other
    assert one is not None
    assert one.startswith("=" * 32 + " #")
    assert len(one) < 70
    assert found("=" * 64, "=" * 65, asked=[True, False]) == ["=" * 64, None]


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="another Unicode")
def test_the_ranges_are_those_of_unicode_14():
    """They are derived again where the interpreter has the same Unicode."""
    typography = {*map(ord, "\u00a9\u00ae\u2122\u2120\u00b0\ufffd"), *range(0x2500, 0x25A0)}
    derived = {
        point
        for point in range(0x110000)
        if unicodedata.category(chr(point)) in ("Sm", "Sc", "So") and point not in typography
    }
    derived |= {ord("^"), *range(0x1F000, 0x1FB00)}
    assert set(np.flatnonzero(module._classes() == SYMBOL).tolist()) == derived
