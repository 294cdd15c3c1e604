"""Traps that other programs for the same work fell into, each tried on a whole scan and filter."""

import random
from collections import Counter
from itertools import permutations

import pyarrow.parquet as pq
import pytest

from tests import reference

SHARD = 1 << 40


def prose(draw, count, vocabulary=4000):
    """Return that many words."""
    return [f"w{draw.randrange(vocabulary)}" for _ in range(count)]


@pytest.fixture
def filtered(tmp_path, make_corpus, scan):
    """Give a function that scans and filters {shard: rows} and returns the run."""
    runs = iter(range(100))

    def run(shards, *settings):
        if not isinstance(shards, dict):
            shards = {"a.jsonl": shards}
        folder = tmp_path / str(next(runs))
        return scan(make_corpus(folder / "c", shards), folder / "run", *settings)

    return run


def kept(done):
    """Return the texts that stay, in order of shard and row."""
    rows = done.table("kept").to_pylist()
    return [row["text"] for row in sorted(rows, key=lambda row: row["rote"]["row_key"])]


def removed(done):
    """Return {text: text of its keeper} of those that go."""
    text = {row["rote"]["row_key"]: row["text"] for row in done.table("kept").to_pylist()}
    rows = done.table("removed").to_pylist()
    return {row["text"]: text[row["rote"]["keeper"]] for row in rows}


EDITS = {
    "a word at the start": lambda words: ["new", *words],
    "a word near the start": lambda words: [*words[:3], "new", *words[3:]],
    "a word near the end": lambda words: [*words[:-3], "new", *words[-3:]],
    "five words at the end": lambda words: [*words, "one", "two", "three", "four", "five"],
    "the first word gone": lambda words: words[1:],
}


@pytest.mark.parametrize("length", [65, 97, 300, 1000])
def test_one_edit_shifts_no_sample(filtered, length):
    """A text with one word more or less is found near its original: nothing goes by position."""
    draw = random.Random(length)  # noqa: S311
    edits = [edit for edit in EDITS for _ in range(30)]
    originals = [prose(draw, length) for _ in edits]
    copies = [EDITS[edit](words) for edit, words in zip(edits, originals, strict=True)]
    shards = {"a.jsonl": originals, "b.jsonl": copies}
    texts = {name: [" ".join(words) for words in own] for name, own in shards.items()}
    done = filtered(texts, "near.threshold=0.7")
    found = {*done.rows("pairs", "a", "b")}
    assert [edit for n, edit in enumerate(edits) if (n, SHARD | n) not in found] == []
    assert len(kept(done)) == len(edits)


SHORT = [
    *("yes", "no", "yes no", "no yes", "a b c", "a b c d", "b c d a", "a b c d e", "f g h i j k"),
    *("...", "!!!", "\n", "🙂", "🙃", "-- --", "\u0378"),
    *("漢", "字", "漢字", "字漢", "é", "e\u0301", "1", "2", "_"),
]


def test_short_and_wordless_texts_do_not_collapse(filtered):
    """Texts too short for a shingle, or without any word, are no copies of one another."""
    done = filtered(SHORT)
    assert kept(done) == SHORT
    assert done.table("removed").num_rows == 0
    clusters = done.table("documents")["cluster"].to_pylist()
    families = done.table("documents")["family"].to_pylist()
    assert len(set(clusters)) == len(set(families)) == len(SHORT)


def test_short_and_wordless_texts_are_deduplicated_all_the_same(filtered):
    """Their exact copies go, and those of the same words; no row is lost."""
    texts = [*SHORT, *SHORT[::-1], "Yes!", "No, yes..."]
    done = filtered(texts)
    assert Counter(kept(done)) == Counter(["Yes!", "No, yes...", *SHORT]) - Counter(
        ["yes", "no yes"]
    )
    assert {"yes": "Yes!", "no yes": "No, yes..."}.items() <= removed(done).items()
    assert done.table("kept").num_rows + done.table("removed").num_rows == len(texts)


def test_short_texts_do_not_switch_the_search_off(filtered):
    """Among texts of any length, long near copies are found."""
    draw = random.Random(1)  # noqa: S311
    long = prose(draw, 200)
    texts = ["a", *SHORT, " ".join(long), "b", " ".join([*long, "more"]), "..."]
    assert removed(filtered(texts)) == {"...": "...", " ".join(long): " ".join([*long, "more"])}


def test_a_shard_without_duplicates_comes_out_whole(filtered):
    """One shard without any copy, one of copies only, one of one row: each has its own file."""
    draw = random.Random(2)  # noqa: S311
    own = [" ".join(prose(draw, 80)) for _ in range(40)]
    shards = {"a.jsonl": own[:20], "b.jsonl": own[:20], "c.jsonl": own[20:], "d.jsonl": ["alone"]}
    done = filtered(shards)
    counts = {
        path.stem: pq.read_metadata(path).num_rows
        for path in (done.folder / "kept").glob("*.parquet")
    }
    assert counts == {"a": 20, "b": 0, "c": 20, "d": 1}
    assert kept(done) == [*own, "alone"]


def chain():
    """Return texts A, B, C of which A and B, B and C are near at 0.8, and A and C are not."""
    base = [f"w{n}" for n in range(104)]
    texts = [base, [*base[:94], *(f"x{n}" for n in range(10))]]
    texts.append([*(f"y{n}" for n in range(10)), *texts[1][10:]])
    found = [" ".join(words) for words in texts]
    assert reference.jaccard(found[0], found[1]) == (90, 110)
    assert reference.jaccard(found[1], found[2]) == (90, 110)
    assert reference.jaccard(found[0], found[2]) == (80, 120)
    return found


EXPECTED = {  # who stays, who goes to whom, when they stand in that order of rank
    "ABC": ("AC", {"B": "A"}),
    "ACB": ("AC", None),  # B goes to either: both are as near, A ranks better
    "BAC": ("B", {"A": "B", "C": "B"}),
    "BCA": ("B", {"A": "B", "C": "B"}),
    "CAB": ("CA", None),
    "CBA": ("CA", {"B": "C"}),
}


@pytest.mark.parametrize("order", EXPECTED)
def test_a_chain_of_near_copies_is_no_group(filtered, order):
    """Of A near B near C, no document goes for one that it is not near, nor for one that goes."""
    texts = dict(zip("ABC", chain(), strict=True))
    names = {text: name for name, text in texts.items()}
    done = filtered([texts[name] for name in order], "near.keep=earliest")
    stay, goes = EXPECTED[order]
    assert [names[text] for text in kept(done)] == list(stay)
    found = {names[text]: names[keeper] for text, keeper in removed(done).items()}
    assert found == (goes if goes is not None else {"B": order[0]})
    assert len(set(done.table("documents")["cluster"].to_pylist())) == 1


def test_a_long_chain_keeps_what_is_near_nothing_kept(filtered):
    """Along twenty texts, each near the next only, every one that goes is near one that stays."""
    words = [f"w{n}" for n in range(300)]
    texts = [" ".join(words[10 * n : 10 * n + 100]) for n in range(20)]
    done = filtered(texts, "near.threshold=0.8")
    assert reference.jaccard(texts[0], texts[1]) == (86, 106)
    assert kept(done) == texts[::2]
    for text, keeper in removed(done).items():
        shared, either = reference.jaccard(text, keeper)
        assert 5 * shared >= 4 * either


def test_two_verified_pairs_in_one_bucket_stay_two(filtered):
    """A with B and C with D are near; that all four share bands joins nothing."""
    base = [f"w{n}" for n in range(200)]
    other = [*base[:150], *(f"x{n}" for n in range(50))]
    texts = [" ".join(words) for words in (base, [*base, "b"], other, [*other, "d"])]
    shared, either = reference.jaccard(texts[0], texts[2])
    assert 0.5 < shared / either < 0.7
    done = filtered(texts)
    keys = {frozenset(pair) for pair in done.rows("candidates", "a", "b")}
    assert frozenset((0, 2)) in keys
    assert kept(done) == [texts[1], texts[3]]
    assert removed(done) == {texts[0]: texts[1], texts[2]: texts[3]}


def test_texts_that_share_a_paragraph_stay_apart(filtered):
    """A repeated window links a family, but no document goes for it, and clusters stay apart."""
    draw = random.Random(3)  # noqa: S311
    notice = " ".join(prose(draw, 60))
    texts = [f"{notice} {' '.join(prose(draw, 200))}" for _ in range(10)]
    done = filtered(texts)
    assert kept(done) == texts
    assert len(set(done.table("documents")["cluster"].to_pylist())) == 10
    assert len(set(done.table("documents")["family"].to_pylist())) == 1
    assert done.table("documents")["max_window_count"].to_pylist() == [10] * 10


def test_no_text_is_changed(filtered):
    """A text that repeats itself and others, with odd blanks, comes out byte for byte."""
    passage = "The  same\tpassage, said again\r\n and AGAIN; " * 12
    texts = [f"\ufeff{passage}x{passage}", f"{passage}{passage} ", f" y {passage}\n\n", passage]
    done = filtered(texts, "near.threshold=1.0")
    out = [row["text"] for name in ("kept", "removed") for row in done.table(name).to_pylist()]
    assert sorted(out) == sorted(texts)
    assert done.table("spans").num_rows >= 4


def test_documents_are_not_known_by_their_place(filtered):
    """The same rows in another order, with rows before them, in other shards: the same texts go."""
    draw = random.Random(4)  # noqa: S311
    base = [prose(draw, 100) for _ in range(20)]
    near = [[*words[:50], "new", *words[50:]] for words in base[:10]]
    rows = [{"id": f"d{n}", "text": " ".join(w)} for n, w in enumerate([*base, *near, *base[15:]])]
    one = filtered({"a.jsonl": rows})
    mixed = draw.sample(rows, len(rows))
    first = [{"id": "first", "text": "another"}]
    other = filtered({"0.jsonl": first, "b.jsonl": first + mixed[:11], "c.jsonl": mixed[11:]})
    assert {*kept(one), "another"} == {*kept(other)}
    assert removed(one).items() <= removed(other).items()


def test_equal_ids_are_not_equal_documents(filtered):
    """Ids that repeat, in a shard and over shards, merge and remove nothing."""
    draw = random.Random(5)  # noqa: S311
    texts = [" ".join(prose(draw, 50)) for _ in range(12)]
    rows = [{"id": "same", "text": text} for text in texts]
    done = filtered({"a.jsonl": rows[:6], "b.jsonl": [*rows[6:], rows[0]]})
    assert kept(done) == texts
    keepers = {row["rote"]["keeper"] for row in done.table("removed").to_pylist()}
    assert keepers == {0}


def test_filtering_what_was_kept_removes_nothing(filtered):
    """One pass is enough: no near copy is left, and removing made none."""
    draw = random.Random(6)  # noqa: S311
    texts = []
    for _ in range(25):
        words = prose(draw, 60)
        for _ in range(draw.randint(1, 8)):
            words = list(words)
            for _ in range(draw.randint(0, 2)):
                words[draw.randrange(60)] = f"x{draw.randrange(99)}"
            texts.append(" ".join(words))
    first = filtered(texts)
    assert first.table("removed").num_rows > 40
    assert kept(filtered(kept(first))) == kept(first)


def test_unique_texts_have_no_repeated_window(filtered):
    """Over a hundred thousand different windows none is taken for another."""
    texts = [" ".join(f"{n}x{k}" for k in range(1000)) for n in range(110)]
    done = filtered(texts, "window.words=8")
    assert done.manifest["outputs"]["windows/all"]["facts"]["windows"] == 110 * 993
    assert done.table("windows").num_rows == 0
    assert done.table("spans").num_rows == 0
    assert kept(done) == texts


def test_places_beyond_sixteen_bits_are_told_apart(filtered):
    """A passage 70,000 words and 400 KB into a document is found there, and nowhere else."""
    passage = " ".join(f"p{n}" for n in range(60))
    long = " ".join(f"w{n:05}" for n in range(70_000))
    texts = [f"{long} {passage} end", f"begin {passage}", f"{passage} {long[:2000]}"]
    done = filtered(texts)
    size = len(passage)
    columns = ("row_key", "start_byte", "end_byte", "words", "max_count")
    spans = [span for span in done.rows("spans", *columns) if span[4] == 3]
    begin = len(long) + 1
    assert spans == [
        (0, begin, begin + size, 60, 3),
        (1, 6, 6 + size, 60, 3),
        (2, 0, spans[2][2], spans[2][3], 3),
    ]
    assert spans[2][2] >= size


def test_spans_are_whole_characters(filtered):
    """In text without spaces, of many bytes a letter, every span begins and ends at a character."""
    draw = random.Random(7)  # noqa: S311
    han = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
    passage = "".join(draw.choices(han, k=70))
    texts = []
    for count in range(1, 7):
        before, after = ("".join(draw.choices(han, k=size)) for size in (40, count))
        texts.append(f"{before}、{passage}。{after}")
    done = filtered(texts)
    found = done.rows("spans", "row_key", "start_byte", "end_byte")
    assert len({key for key, _, _ in found}) == 6
    for key, start, end in found:
        assert passage in texts[key].encode()[start:end].decode()


def test_every_order_of_equal_rank_keeps_one(filtered):
    """Copies of one length in any order of rows leave one of them, and it is the first."""
    texts, first = [], []
    for number, marks in enumerate(permutations(("aa", "bb", "cc"))):
        base = [f"w{number}x{n}" for n in range(40)]
        own = [" ".join([*base[:20], mark, *base[20:]]) for mark in marks]
        texts += own
        first.append(own[0])
    assert kept(filtered(texts, "near.threshold=0.7")) == first
