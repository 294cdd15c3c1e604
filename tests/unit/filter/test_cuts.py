"""Cutting repeated passages: first occurrences stay whole, and the original can be rebuilt."""

import random
from collections import Counter

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from examples.rebuild_texts import originals
from pipeline.config.load import load_config
from pipeline.config.sections import Config, PolicyConfig
from pipeline.errors import ConfigError, SchemaMismatch
from pipeline.filter.emit.edits import replaced
from pipeline.filter.rules import cut_kernels, cuts
from schemas.filter.decisions import CUTS
from schemas.filter.emitted import SPANS_CUT
from tests.reference import words

SIZE = 5
RULES = 'policy.rules=["drop-copies","cut-spans"]'
SETTINGS = (f"window.words={SIZE}", "policy.cut_minimum=1", RULES)
LETTERS = ["ab", "Ä", "ß", "漢", "字", "ไทย", "क्", "é", "x1", "𐐷", "한"]
GAPS = [" ", "", ". ", " — ", "\n", "🙂", "\u200f "]


def texts_of_many_scripts(seed, count=40):
    """Return texts that share passages, in letters of one to four bytes and gaps of none."""
    draw = random.Random(seed)  # noqa: S311 - a test's own

    def piece(size):
        words = (draw.choice(LETTERS) * draw.randint(1, 2) for _ in range(size))
        return "".join(word + draw.choice(GAPS) for word in words)

    shared = [piece(draw.randint(6, 20)) for _ in range(8)]
    return [
        "".join(
            draw.choice(shared) if draw.random() < 0.5 else piece(draw.randint(1, 8))
            for _ in range(draw.randint(1, 6))
        )
        for _ in range(count)
    ]


def windows(text):
    """Return the windows of a text, by the plain definition."""
    found = words(text)
    return [tuple(found[i : i + SIZE]) for i in range(len(found) - SIZE + 1)]


def kept_texts(done):
    """Return {row_key: text} of kept/."""
    table = done.table("kept")
    keys = [row["row_key"] for row in table["rote"].to_pylist()]
    return dict(zip(keys, table["text"].to_pylist(), strict=True))


@pytest.fixture(scope="module", params=[1, 2, 3])
def cut(request, tmp_path_factory, make_corpus, scan):
    """Give a corpus of many scripts, by row_key, and the run that cut it."""
    folder = tmp_path_factory.mktemp("cut")
    texts = texts_of_many_scripts(request.param)
    corpus = make_corpus(folder / "c", {"a.jsonl": texts[:25], "b.parquet": texts[25:]})
    keys = [*range(25), *((1 << 40) + n for n in range(len(texts) - 25))]
    return dict(zip(keys, texts, strict=True)), scan(corpus, folder / "run", *SETTINGS)


def test_the_original_is_rebuilt_byte_for_byte(cut):
    """What is left in kept/ and what is in removed/spans make the text as it was."""
    texts, done = cut
    kept, spans = done.table("kept"), done.table("removed/spans")
    for row in spans.to_pylist():
        assert row["text"] == texts[row["row_key"]].encode()[row["start_byte"] : row["end_byte"]]
    assert len({*spans["row_key"].to_pylist()} & kept_texts(done).keys()) > 5
    assert originals(kept, spans, "text") == [texts[key] for key in kept_texts(done)]


def test_only_what_was_cut_in_a_column_is_put_back_there():
    """Cuts of another column and of other rows leave a value alone; none stays none."""
    struct = pa.array([{"row_key": 3}, {"row_key": 4}, {"row_key": 5}])
    kept = pa.table({"a": ["xz", "q", None], "b": ["m", "m", "m"], "rote": struct})
    cuts = [(3, "a", 1, 4, b"yyy", None), (3, "b", 0, 1, b"n", None), (9, "a", 0, 1, b"w", None)]
    columns = [list(column) for column in zip(*cuts, strict=True)]
    spans = pa.table(columns, SPANS_CUT.names)
    assert originals(kept, spans, "a") == ["xyyyz", "q", None]
    assert originals(kept, spans, "b") == ["nm", "m", "m"]


def test_every_repeated_window_still_occurs(cut):
    """No repeated window is lost with its last copy: the first one is whole, word for word."""
    texts, done = cut
    kept = kept_texts(done)
    counts = Counter(window for key in kept for window in windows(texts[key]))
    after = {window for text in kept.values() for window in windows(text)}
    repeated = {window for window, count in counts.items() if count > 1}
    assert len(repeated) > 50
    assert repeated <= after


def test_what_only_later_occurrences_cover_goes(cut):
    """The words cut are those of the plain definition, but for the few that hold others apart."""
    texts, done = cut
    kept = sorted(kept_texts(done))
    seen: dict[tuple[str, ...], tuple[int, int]] = {}
    expected = {}
    counts = Counter(window for key in kept for window in windows(texts[key]))
    for key in kept:
        own = windows(texts[key])
        first = {i for i, window in enumerate(own) if seen.setdefault(window, (key, i)) == (key, i)}
        later = {w for i in range(len(own)) if i not in first for w in range(i, i + SIZE)}
        held = {w for i in first if counts[own[i]] > 1 for w in range(i, i + SIZE)}
        expected[key] = len(later - held)
    found = dict.fromkeys(kept, 0)
    for key, count in done.rows("cuts", "row_key", "words"):
        found[key] += count
    assert all(found[key] <= expected[key] for key in kept)
    assert sum(found.values()) > 0.6 * sum(expected.values())


def test_rows_say_what_was_cut(cut):
    """kept/ counts the bytes; decisions name rule and reason; nothing else changed."""
    texts, done = cut
    by_key = {row["row_key"]: row["cut_bytes"] for row in done.table("kept")["rote"].to_pylist()}
    for key, text in kept_texts(done).items():
        assert by_key[key] == len(texts[key].encode()) - len(text.encode())
    decided = done.rows("decisions", "row_key", "action", "rule", "reason")
    assert {row[1:] for row in decided if by_key.get(row[0])} == {("cut", "cut-spans", "repeated")}


def test_masks_leave_the_text_and_list_the_same_bytes(cut, tmp_path, scan):
    """With policy.cut = mask the text is whole and `masked` has the ranges."""
    texts, done = cut
    corpus = done.manifest["corpus"]["roots"][0]
    masked = scan(corpus, tmp_path / "run", *SETTINGS, "policy.cut=mask")
    assert kept_texts(masked) == {key: texts[key] for key in kept_texts(masked)}
    assert set(done.rows("cuts", *CUTS.names)) <= set(masked.rows("cuts", *CUTS.names))
    ranges = {
        row["row_key"]: [(r["start_byte"], r["end_byte"]) for r in row["masked"]]
        for row in masked.table("kept")["rote"].to_pylist()
    }
    cut_keys = {key for (key,) in done.rows("cuts", "row_key")}
    for key, text in kept_texts(done).items():
        if key in cut_keys:  # one of which nothing would stay is masked, but was not cut
            cuts = [(start, end, None) for start, end in ranges[key]]
            assert replaced(texts[key].encode(), cuts) == text.encode()


PASSAGE = "one two three four five six seven"


def test_all_cuts_the_first_occurrence_too(tmp_path, make_corpus, scan):
    """With policy.cut = all no occurrence stays."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [f"a b {PASSAGE} c", f"d {PASSAGE} e f g"]})
    done = scan(corpus, tmp_path / "run", *SETTINGS, "policy.cut=all")
    assert list(kept_texts(done).values()) == ["a b  c", "d  e f g"]


def test_exempt_rows_are_not_cut_and_count_as_first(tmp_path, make_corpus, scan):
    """An exempt source keeps its words although it comes last; the others lose theirs to it."""
    rows = [
        {"text": f"a b {PASSAGE} c d", "source": "web"},
        {"text": f"e f {PASSAGE} g h", "source": "books"},
    ]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    done = scan(corpus, tmp_path / "run", *SETTINGS, 'policy.exempt="books"')
    assert list(kept_texts(done).values()) == ["a b  c d", f"e f {PASSAGE} g h"]


@pytest.mark.parametrize(("short", "kept"), [("leave", 3), ("drop", 2)])
def test_a_document_of_which_too_little_would_stay(tmp_path, make_corpus, scan, short, kept):
    """It is left whole or dropped, as asked, and counted either way; a keeper is never dropped."""
    texts = [f"a b c d e {PASSAGE} f g", f"h {PASSAGE}", f"i {PASSAGE}!", f"i {PASSAGE}"]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts})
    asked = ("policy.cut_minimum=4", f"policy.cut_short={short}")
    done = scan(corpus, tmp_path / "run", *SETTINGS[::2], *asked)
    assert len(kept_texts(done)) == kept
    facts = done.manifest["outputs"]["decisions/all"]["facts"]["cut"]
    going = 3 - kept
    assert (facts["too_short_and_left"], facts["too_short_and_dropped"]) == (2 - going, going)
    assert kept_texts(done)[2] == texts[2]  # the keeper of the last
    reasons = [row["reason"] for row in done.table("removed")["rote"].to_pylist()]
    assert sorted(reasons) == ["near_copy"] if short == "leave" else ["near_copy", "short"]


def test_chat_messages_are_not_cut(tmp_path, make_corpus, scan):
    """A list of messages is refused by name; listing the passages is offered, and does it."""
    rows = [{"messages": [{"content": f"{n} {PASSAGE}"}]} for n in range(2)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    with pytest.raises(SchemaMismatch, match="not changed by cut-spans") as refused:
        scan(corpus, tmp_path / "run", *SETTINGS)
    assert '--set policy.cut="mask"' in refused.value.fix
    assert "personal" not in refused.value.fix
    assert scan(corpus, tmp_path / "run", *SETTINGS, "policy.cut=mask").table("kept").num_rows == 2


def test_removed_rows_and_cuts_never_share_a_file(tmp_path, make_corpus, scan):
    """A shard spans/x would have its removed rows where the cuts of x go: refused by name."""
    files = {"x.jsonl": [f"a {PASSAGE}"], "spans/x.jsonl": [f"b {PASSAGE}"]}
    corpus = make_corpus(tmp_path / "c", files)
    with pytest.raises(SchemaMismatch, match="removed/spans for itself") as refused:
        scan(corpus, tmp_path / "run", *SETTINGS)
    assert refused.value.where == "spans/x.jsonl"
    assert scan(corpus, tmp_path / "run", *SETTINGS, "policy.cut=mask").table("kept").num_rows == 2


def test_texts_of_several_columns_are_cut_in_each(tmp_path, make_corpus, scan):
    """Ranges of the joined text are found again in the columns that it was joined from."""
    rows = [
        {"title": "t u", "body": f"a b {PASSAGE}"},
        {"title": f"v {PASSAGE}", "body": "w x y z"},
        {"title": None, "body": f"{PASSAGE} p q r"},
    ]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows})
    done = scan(corpus, tmp_path / "run", *SETTINGS, 'input.text=["title","body"]')
    kept = done.table("kept")
    assert kept["title"].to_pylist() == ["t u", "v ", None]
    assert kept["body"].to_pylist() == [f"a b {PASSAGE}", "w x y z", " p q r"]
    cut = done.rows("removed/spans", "row_key", "column", "start_byte", "text")
    assert cut == [(1, "title", 2, PASSAGE.encode()), (2, "body", 0, PASSAGE.encode())]


def test_a_cut_that_would_join_two_words_is_made_smaller():
    """abc漢字def loses nothing; with a gap inside, the larger side of it goes."""
    starts, ends = np.array([0, 3, 6, 9]), np.array([3, 6, 9, 12])
    assert cuts.apart(starts, ends, 1, 3) == (1, 1)
    assert cuts.apart(starts, ends, 0, 3) == (0, 3)
    starts, ends = np.array([0, 3, 6, 10, 13]), np.array([3, 6, 9, 13, 16])
    assert cuts.apart(starts, ends, 1, 4) == (1, 3)


def test_words_to_cut_are_those_that_only_later_windows_cover():
    """A later window at 0 and a first one at 3, of four words: words 0 to 2 go."""
    documents, at = np.zeros(2, np.uint32), np.array([0, 3], np.uint32)
    state = np.array([cut_kernels.LATER, cut_kernels.FIRST], np.uint8)
    assert cut_kernels.words_to_cut(documents, at, state, 4, False).tolist() == [[0, 0, 3]]
    assert cut_kernels.words_to_cut(documents, at, state, 4, True).tolist() == [[0, 0, 7]]


def test_dropping_what_is_short_may_not_lose_a_last_occurrence():
    """A rest as long as a window may hold one, so such a minimum is refused."""
    with pytest.raises(ConfigError, match="not valid"):
        load_config(settings=["policy.cut_minimum=60", "policy.cut_short=drop"])
    assert Config(policy=PolicyConfig(cut_minimum=60)).policy.cut_minimum == 60


def test_equal_hashes_of_other_words_stop_the_cut():
    """A later occurrence is held against the first by its words, not by its window's hash."""
    same = np.array([[1, 0, 0, 0, 1]])
    with pytest.raises(Exception, match="same 64-bit hash"):
        cuts._require_same_words(same, {(0, 0): b"a", (0, 1): b"b"}, Config())


def test_no_windows_no_cuts():
    """A state without rows gives an empty order."""
    state = pl.DataFrame(
        schema={"row_key": pl.UInt64, "shard": pl.String, "row": pl.Int64, "rule": pl.String,
                "spared": pl.Boolean, "cut-spans": pl.Boolean}
    )  # fmt: skip
    assert cuts.order_of_rows(state).keys.size == 0
