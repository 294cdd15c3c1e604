import hashlib
import mmap
import unicodedata
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.text import segmentation as text
from pipeline.text import segmentation_kernels, unicode14
from tests import reference

LARGE = pa.large_string()
PINNED_WORDS = [
    "0xfed6194e48d14580",
    "0xf5e9e7f22c011ecb",
    "0x5d8cafc8db554165",
    "0x2a2578072ba48af",
    "0xfed6194e48d14580",
]
PINNED_SHINGLE = ["0x19a9e60d6abc1cde"]
PINNED_RUNS = [
    "0x40b6305f4e8c40ec",
    "0x51aba607caa4b44d",
    "0xd4a98cf5e28caf0e",
    "0xe839aef49c70a40f",
]
PINNED_CHARACTERS = "2db627637b252771b333b528d105e2bd4f8a3a8d35673e67f86380fd3a4536f0"


def found(*documents):
    """Return the words of each document as the kernel found them, cut from the text and folded."""
    batch = text.words(pa.array(documents, LARGE), 1)
    cut = []
    for row, document in enumerate(documents):
        own = slice(batch.offsets[row], batch.offsets[row + 1])
        data = document.encode()
        spans = zip(batch.starts[own].tolist(), batch.ends[own].tolist(), strict=True)
        cut.append(["".join(map(reference.fold, data[a:b].decode())) for a, b in spans])
    return cut


def categories():
    """Return the category of every code point on this Python."""
    return np.array([unicodedata.category(chr(c)) for c in range(unicode14.CODE_POINTS)])


def test_latin_text_is_cut_at_spaces_and_punctuation():
    """Letters, digits and the connector stay together; all else separates; case is folded."""
    assert found("The Cat, the 2nd_cat; don't!") == [["the", "cat", "the", "2nd_cat", "don", "t"]]


def test_marks_and_other_connectors_join():
    """A combining accent, an undertie and a superscript belong to their word."""
    assert found("cafe\u0301 a\u203fb x²") == [["cafe\u0301", "a\u203fb", "x²"]]


def test_han_kana_and_bopomofo_characters_are_words():
    """Each character of a script without spaces is a word, next to letters too."""
    assert found("漢字とカナㄅab、c") == [["漢", "字", "と", "カ", "ナ", "ㄅ", "ab", "c"]]


def test_thai_and_hangul_runs_stay_whole():
    """Runs of Thai and of Hangul are cut at spaces only."""
    assert found("สวัสดีชาวโลก 안녕 하세요") == [["สวัสดีชาวโลก", "안녕", "하세요"]]


def test_characters_that_fold_to_several_stay():
    """A dotted capital I stays as it is, sharp s lowers to itself, both sigmas stay apart."""
    assert found("İİ ẞß ΣσςΣ ﬁ K") == [["İİ", "ßß", "σσςσ", "ﬁ", "k"]]


def test_texts_without_words_have_none():
    """Empty text, blanks, punctuation, symbols and unassigned characters hold no words."""
    assert found("", " \n\t", "...—!", "€😀", "\u0378\ufffe") == [[], [], [], [], []]


def test_a_nul_separates():
    """A NUL in a text is a separator, as any control character."""
    assert found("a\0b") == [["a", "b"]]


@pytest.mark.parametrize("letter", ["a", "é", "ก", "\U0001d49c"])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 55, 56, 63, 64, 65, 128, 5000])
def test_long_words_are_whole(letter, length):
    """A word is one word however it lies to blocks of 64 bytes, and has one hash there."""
    word = letter * length
    documents = [" " * pad + word + " end" for pad in (0, 1, 7, 8, 60, 63, 64, 65)]
    assert found(*documents) == [[word.lower(), "end"]] * len(documents)
    batch = text.words(pa.array(documents, LARGE), 1)
    assert len(set(batch.hashes[::2].tolist())) == 1
    assert len(set(batch.hashes.tolist())) == 2


def test_equal_words_hash_equal_whatever_their_case_and_place():
    """The hash depends on the folded word only, in the fast loop and in the general one."""
    alike = ["Straße_9", "é straße_9", "STRAßE_9" + " " * 200, "\u2014straße_9"]
    batch = text.words(pa.array(alike, LARGE), 7)
    assert [batch.hashes[i - 1] for i in batch.offsets[1:]] == [batch.hashes[0]] * 4
    ascii_alike = text.words(pa.array(["Plain_Word99 " + " " * 100, "é plain_word99 é"], LARGE), 7)
    assert ascii_alike.hashes[0] == ascii_alike.hashes[2]


def test_hashes_are_pinned():
    """The hash of a word, a shingle and a window is part of the run folder's format."""
    batch = text.words(pa.array(["Rote learning, 学 by rote"], LARGE), 1)
    assert [hex(h) for h in batch.hashes] == PINNED_WORDS
    assert [hex(h) for h in text.shingles(batch, 5, 1)[1]] == PINNED_SHINGLE
    assert [hex(h) for h in text.runs(batch, 2, 1)[1]] == PINNED_RUNS


def test_another_seed_gives_other_hashes():
    """Hashes of words, shingles and windows are keyed."""
    texts = pa.array(["one two three four five six"], LARGE)
    first, second = text.words(texts, 1), text.words(texts, 2)
    assert not set(first.hashes.tolist()) & set(second.hashes.tolist())
    assert not set(text.runs(first, 3, 1)[1].tolist()) & set(text.runs(first, 3, 2)[1].tolist())


def test_a_million_words_have_different_hashes():
    """Neither counted nor patterned words collide: 64 bits leave 3e-8 for a million at random."""
    numbers = [f"w{n}" for n in range(500_000)]
    long = [f"configuration_{n:06d}_of_the_longest_identifier" for n in range(300_000)]
    letters = [chr(0x4E00 + a) + chr(0xAC00 + b) for a in range(300) for b in range(700)]
    repeated = [c * n for c in "abé" for n in range(1, 400)]
    distinct = sorted({*numbers, *long, *repeated})
    batch = text.words(pa.array([" ".join(distinct), " ".join(letters)], LARGE), 1)
    assert batch.offsets.tolist() == [0, 801_197, 801_197 + 420_000]
    assert len(set(batch.hashes.tolist())) == 801_197 + 300 + 700


def test_runs_are_every_consecutive_words():
    """Equal runs hash equal, all others differently; a document too short has none."""
    batch = text.words(pa.array(["a b c a b c", "a b", "", "x a b c"], LARGE), 1)
    offsets, hashes = text.runs(batch, 3, 1)
    assert offsets.tolist() == [0, 4, 4, 4, 6]
    assert hashes[0] == hashes[3] == hashes[5]
    assert len(set(hashes.tolist())) == 4


def test_a_short_document_has_one_shingle():
    """Fewer words than a shingle make one of all; the number of words is part of it."""
    batch = text.words(pa.array(["a b c d", "a b c d e", "", "A, b: C d", "a b c"], LARGE), 1)
    offsets, hashes = text.shingles(batch, 5, 1)
    assert offsets.tolist() == [0, 1, 2, 2, 3, 4]
    assert hashes[0] == hashes[2]
    assert len(set(hashes.tolist())) == 3


def test_exchanged_words_change_a_window():
    """Any exchange of two different words in a window of 50 changes its hash."""
    base = [f"w{n}" for n in range(50)]
    documents = [" ".join(base)]
    for a in range(50):
        for b in range(a):
            changed = base.copy()
            changed[a], changed[b] = changed[b], changed[a]
            documents.append(" ".join(changed))
    _, hashes = text.runs(text.words(pa.array(documents, LARGE), 1), 50, 1)
    assert len(set(hashes.tolist())) == 1226


def test_taken_documents_keep_their_words_in_the_order_asked():
    """Some documents of a batch, also twice and none of them, have the hashes that they had."""
    batch = text.words(pa.array(["a b", "", "c", "d e f"], LARGE), 1)
    whole = batch.hashes.tolist()
    found = text.take(batch, np.array([3, 1, 0, 3]))
    assert found.offsets.tolist() == [0, 3, 3, 5, 8]
    assert found.hashes.tolist() == [*whole[3:6], *whole[:2], *whole[3:6]]
    assert text.take(batch, np.array([], np.int64)).offsets.tolist() == [0]


def test_no_character_folds_to_more_than_half_as_much_again():
    """The bound on folded text holds: UTF-8 grows from two bytes to three at most."""
    sizes = np.searchsorted([0x80, 0x800, 0x10000], np.arange(unicode14.CODE_POINTS), "right") + 1
    growth = {
        (int(a), int(b)) for a, b in zip(sizes, sizes[unicode14.folds()], strict=True) if b > a
    }
    assert growth == {(2, 3)}


def test_a_slice_gives_what_its_rows_give():
    """Words of a slice are those of its rows alone, in every function that reads texts."""
    whole = pa.array(["first one", "ab cé 漢", "", "last " * 40], LARGE)
    for start in range(5):
        part = whole.slice(start, 2)
        fresh = pa.array(part.to_pylist(), LARGE)
        for field in ("offsets", "hashes", "starts", "ends"):
            ours, theirs = (getattr(text.words(rows, 3), field) for rows in (part, fresh))
            np.testing.assert_array_equal(ours, theirs)


def test_a_document_of_4_gib_is_refused():
    """Positions are 32-bit, so longer documents are an input error, before any byte is read."""
    offsets = pa.py_buffer(np.array([0, 2**32], np.int64))
    with mmap.mmap(-1, 2**32) as untouched:
        huge = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(untouched))
        with pytest.raises(InputError, match="too long"):
            text.words(huge, 1)
        del huge


BAD_UTF8 = [
    b"\xff",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xf0\x80\x80\x80",
]
BAD_UTF8 += [
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\x80",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"a\xc3",
]
GOOD_UTF8 = [
    b"",
    b"\0",
    "é€😀".encode(),
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\x7f",
]


def test_valid_utf8_tells_the_rows_apart():
    """Surrogates, overlong forms, stray and missing bytes are refused, each in its own row only."""
    rows = [*BAD_UTF8, *GOOD_UTF8, None, b"\xa9"]
    expected = [False] * len(BAD_UTF8) + [True] * len(GOOD_UTF8) + [False, False]
    for kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        assert text.valid_utf8(pa.array(rows, kind)).tolist() == expected
    raw = pa.array(rows, pa.binary())
    as_string = pa.StringArray.from_buffers(
        len(rows), raw.buffers()[1], raw.buffers()[2], raw.buffers()[0]
    )
    assert text.valid_utf8(as_string).tolist() == expected
    assert text.valid_utf8(as_string.slice(10, 4)).tolist() == expected[10:14]


def test_valid_utf8_of_good_rows_is_true():
    """Where every row is valid only nulls are False."""
    assert text.valid_utf8(pa.array([*GOOD_UTF8, None])).tolist() == [True] * 7 + [False]
    assert text.valid_utf8(pa.array([], pa.string())).tolist() == []


def test_characters_are_pinned():
    """The committed tables are the ones that counts were made with, on every Python."""
    kinds = np.bincount(unicode14.classes())
    assert kinds.tolist() == [978_147, 41_450, 94_515]
    changed = unicode14.folds() != np.arange(unicode14.CODE_POINTS)
    assert int(changed.sum()) == 1432
    digest = hashlib.sha256(unicode14.characters().astype("<u4").tobytes()).hexdigest()
    assert digest == PINNED_CHARACTERS


@pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0", reason="needs Unicode 14.0, Python 3.11"
)
def test_tables_are_those_of_unicode_14():
    """Derived again from this Python's Unicode 14.0, the committed ranges come out the same."""
    kind = categories()
    first = np.array([category[0] for category in kind])
    in_word = np.isin(first, list("LMN")) | (kind == "Pc")
    itself = np.zeros(unicode14.CODE_POINTS, bool)
    for block in reference.CHARACTER_WORDS:
        itself[block.start : block.stop] = True
    assert hexadecimal(in_word & ~itself) == unicode14.JOINED_RANGES.split()
    assert hexadecimal(in_word & itself) == unicode14.ALONE_RANGES.split()
    assert hexadecimal(kind == "Cn") == reference.UNASSIGNED.split()
    lower = [chr(c).lower() for c in range(unicode14.CODE_POINTS)]
    folds = [ord(x) if len(x) == 1 else c for c, x in enumerate(lower)]
    np.testing.assert_array_equal(unicode14.folds(), folds)


def hexadecimal(chosen):
    """Return the inclusive ranges of a mask of code points as unicode14 writes them."""
    edges = np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0))
    pairs = zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
    return [f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in pairs]


def test_characters_at_the_edges_are_cut_as_the_reference_does():
    """Every folding character and each end of each range cuts as defined, doubled in a word."""
    kinds, folds = unicode14.classes(), unicode14.folds()
    edges = np.flatnonzero(np.diff(kinds.astype(int)))
    folding = np.flatnonzero(folds != np.arange(unicode14.CODE_POINTS))
    codes = sorted(
        {*edges.tolist(), *(edges + 1).tolist(), *folding.tolist()} - {*range(0xD800, 0xE000)}
    )
    documents = [f"a{chr(c)}{chr(c)}B {chr(c)}" for c in codes]
    assert len(codes) > 2500
    assert found(*documents) == [reference.words(document) for document in documents]


def test_kept_loops_are_seen(monkeypatch, tmp_path):
    """A first scan says that it compiles; where loops were kept it says nothing."""
    text.words(pa.array(["one two"], LARGE), 1)
    assert text.are_compiled()
    monkeypatch.setattr(
        segmentation_kernels,
        "scan_words",
        SimpleNamespace(
            stats=SimpleNamespace(cache_path=tmp_path),
            __module__=segmentation_kernels.__name__,
            __name__="scan_words",
        ),
    )
    assert not text.are_compiled()
    (tmp_path / "segmentation_kernels.scan_words-293.py311.nbi").touch()
    assert text.are_compiled()
