"""Normal forms of texts for their words, and the way back to the bytes as they came."""

import random
import unicodedata
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest

from pipeline.text import segmentation
from pipeline.text.forms import Form, folded, form_hashes, normalized
from tests import reference

PIECES = [
    *(
        "a",
        "e",
        "word",
        " ",
        ", ",
        "caf\u00e9",
        "cafe\u0301",
        "e\u0301\u0323",
        "\u00adsoft",
        "\u200b",
    ),
    *("\u00a0", "\u202f", "\uff21\uff22", "\uff76\uff9e", "\ufb01n", "\u00bd", "\u3392", "\u33c2"),
    *(
        "\u1100\u1161\u11a8",
        "\u6f22\u5b57",
        "\u0301",
        "\u200d",
        "\u1e9b\u0323",
        "\ufeff",
        "\U0001d400",
    ),
    *(
        "\u200b",
        "\U0001d400",
        "\u09c7\u09be",
        "\u2126",
        "\u0344",
        "e\u200b\u0301",
        "\u2026",
        "\u00c5",
    ),
]


def array(*texts):
    """Return texts as a column."""
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize(
    ("text", "nfc", "nfkc"),
    [
        ("cafe\u0301", "caf\u00e9", "caf\u00e9"),
        ("so\u00adft\u200bly", "softly", "softly"),
        ("a\u00a0b\u202fc", "a b c", "a b c"),
        ("\uff21\ufb01", "\uff21\ufb01", "Afi"),
        ("plain", "plain", "plain"),
    ],
)
def test_forms_of_a_text(text, nfc, nfkc):
    """Composed; ignorable characters dropped; non-breaking spaces plain; none leaves all bytes."""
    assert folded(text, "none") == text
    assert (folded(text, "nfc"), folded(text, "nfkc")) == (nfc, nfkc)


def test_without_a_form_nothing_is_touched():
    """The very same column comes back, and ASCII alone does with any form."""
    texts = array("cafe\u0301", "b")
    assert normalized(texts, "none") == (texts, {})
    plain = array("a b", "c")
    assert normalized(plain, "nfkc") == (plain, {})
    assert normalized(array("x", "caf\u00e9")[1:], "nfc")[1] == {}


@pytest.mark.parametrize("form", ["nfc", "nfkc"])
@pytest.mark.parametrize("seed", range(8))
def test_words_of_a_normalized_text_find_their_bytes(form, seed):
    """Whole characters, in order; normalized again they hold the word, unless it shares one."""
    draw = random.Random(seed)  # noqa: S311 - chosen pieces
    for _ in range(150):
        given = "".join(draw.choices(PIECES, k=draw.randint(1, 14)))
        texts, alignments = normalized(array("x", given), form)
        assert texts.to_pylist() == ["x", folded(given, form)]
        words = segmentation.words(texts, 1)
        starts, ends = (part[words.offsets[1] :] for part in (words.starts, words.ends))
        raw, new = given.encode(), folded(given, form).encode()
        if 1 not in alignments:
            assert raw == new
            continue
        lows, highs, done = alignments[1].places(starts, ends, 0)
        assert np.all(lows[1:] >= highs[:-1])
        assert np.all(highs >= lows)
        assert done <= len(raw)
        assert reference.words(folded(given, form)) == [
            "".join(map(reference.fold, new[s:e].decode()))
            for s, e in zip(starts, ends, strict=True)
        ]
        for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
            again = folded(raw[low:high].decode(), form)  # characters are never cut
            assert not again or new[start:end].decode() in again or again in new.decode()


def test_a_word_keeps_the_bytes_of_what_was_dropped_inside_it():
    """A soft hyphen belongs to its word, a zero-width space between words to none."""
    given = "One co\u00adop\u00aderates\u200b, na\u0131\u0308ve\u00a0men"
    texts, alignments = normalized(array(given), "nfc")
    words = segmentation.words(texts, 1)
    lows, highs, _ = alignments[0].places(words.starts, words.ends, 0)
    raw = given.encode()
    found = [raw[low:high].decode() for low, high in zip(lows, highs, strict=True)]
    assert found == ["One", "co\u00adop\u00aderates", "na\u0131\u0308ve", "men"]


def test_twins_have_one_hash_of_their_form():
    """Composed or not, full width or not; any other difference is one."""
    twins = array("caf\u00e9 A", "cafe\u0301 A", "caf\u00e9 \uff21", "cafe A", "\u6f22", "")
    found = form_hashes(twins).tolist()
    assert found[0] == found[1] == found[2]
    assert len(set(found)) == 4
    assert form_hashes(twins.slice(2, 2)).tolist() == found[2:4]
    rests = [f"0123456789{'x' * k}" for k in range(20)]
    assert len({*form_hashes(array(*rests)).tolist()}) == 20


def test_parts_of_any_text_join_to_its_form():
    """Also where marks are reordered or meet behind a dropped character."""
    draw = random.Random(1)  # noqa: S311 - chosen characters
    marks = [chr(c) for c in range(0x300, 0x370)]
    for _ in range(200):
        given = "".join(draw.choices([*marks, "e", "\u00ad", "\uff9e", "\uff76", "\u1161"], k=9))
        forms: tuple[tuple[Form, Literal["NFC", "NFKC"]], ...] = (("nfc", "NFC"), ("nfkc", "NFKC"))
        for form, name in forms:
            texts, alignments = normalized(array(given), form)
            plain = given.replace("\u00ad", "")
            plain = "".join(c for c in plain if c != "\u034f")
            assert texts[0].as_py() == unicodedata.normalize(name, plain)
            if alignments:
                assert alignments[0].after[-1] == len(texts[0].as_py().encode())
                assert alignments[0].before[-1] == len(given.encode())


def test_every_character_that_a_form_touches_is_looked_at():
    """Alone and after a letter: what changes is never passed over by the quick look."""
    codes = [code for code in range(0x80, 0x30000) if not 0xD800 <= code < 0xE000]
    given = [text for code in codes for text in (chr(code), f"a{chr(code)}")]
    changed = [text for text in given if folded(text, "nfkc") != text]
    forms = form_hashes(array(*(folded(text, "nfkc") for text in changed)))
    wrong = np.flatnonzero(form_hashes(array(*changed)) != forms)
    assert [ascii(changed[place]) for place in wrong] == []
    assert len(changed) > 9_000


def test_more_places_than_there_is_room_for(monkeypatch):
    """They are counted, and looked for again."""
    texts = array(*(["caf\u00e9 cafe\u0301 \uff21 " * 3] * 20))
    whole = form_hashes(texts)
    monkeypatch.setattr("pipeline.text.forms.PLACES", 5)
    assert form_hashes(texts).tolist() == whole.tolist()
    assert len({*whole.tolist()}) == 1
