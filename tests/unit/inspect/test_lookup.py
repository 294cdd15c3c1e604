from __future__ import annotations

import dataclasses
import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.answer import as_json, in_words
from pipeline.config.sections import Config
from pipeline.errors import ConfigError, IntegrityError, RunFolderError
from pipeline.inspect import lookup_kernels, nearest
from pipeline.inspect.lookup import Answer, lookup
from pipeline.inspect.lookup_kernels import ChunkCounts, Sought
from pipeline.inspect.question import ask, look
from pipeline.report.html.phrases import REASONS, REMOVED_AS, removed_as
from pipeline.scan import words
from pipeline.text import segmentation as text
from pipeline.text.segmentation_kernels import BASE
from schemas.filter.decisions import DECISIONS
from tests import reference

SIZE = 4
PASSAGE = "the quick brown fox jumps over the lazy dog and then it rests"
TEXTS = {
    "a.jsonl": [
        PASSAGE,
        f"At first: {PASSAGE}, said she.",
        "to be or not to be, or not to be or not to be",
        "ha ha ha ha ha ha ha ha",
        "Two words",
        "two, WORDS!",
    ],
    "b.jsonl": [
        f"{PASSAGE} {PASSAGE}",
        "\u6f22\u5b57\u304b\u306a \u00c9t\u00e9 \u0130stanbul na\u00efve co\u0301te \U0001d400",
        "ha ha ha",
        PASSAGE,
        "...",
        "The quick brown fox jumps over a sleeping dog and then it rests a while",
    ],
}
CORPUS = [one for texts in TEXTS.values() for one in texts]
NAMES = [(name, row) for name, texts in TEXTS.items() for row in range(len(texts))]
QUERIES = {
    "equal to a document": PASSAGE,
    "other case and signs": PASSAGE.upper().replace(" ", "--"),
    "a passage in the middle": f"unknown start {PASSAGE[10:45]} unknown end of it",
    "two stretches": "quick brown fox jumps elsewhere or not to be or not",
    "overlapping repeats": "to be or not to be or not to be or not to be or not",
    "one word again and again": "ha " * 7,
    "longer than any document": " ".join([PASSAGE] * 3),
    "fewer words than a window": "two words",
    "one word": "HA",
    "unicode": "\u00e9t\u00e9 \u0130stanbul NA\u00cfVE co\u0301te",
    "han": "\u6f22\u5b57\u304b\u306a",
    "known words in an unknown order": "dog lazy the over jumps fox brown quick the",
    "unknown": "nothing of this is anywhere at all",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory, make_corpus, scan):
    """Return a scanned and filtered run of the texts, with chunks of a few words."""
    folder = tmp_path_factory.mktemp("lookup")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "FULL", np.array([20, 12], np.int64))
        done = scan(make_corpus(folder / "corpus", TEXTS), folder / "run", f"window.words={SIZE}")
    assert len(words.chunk_places(sorted(done.folder.glob("words/*.parquet")))) > 4
    return done.folder


def windows_of(one, size):
    """Return the runs of `size` words of a text, by definition."""
    found = reference.words(one)
    return [tuple(found[i : i + size]) for i in range(len(found) - size + 1)]


def brute(query, corpus, size):
    """Return (count and documents of each window, places covered, words that each text covers)."""
    size = min(size, len(reference.words(query)))
    own = windows_of(query, size)
    held = [windows_of(one, size) for one in corpus]
    counts = [sum(windows.count(window) for windows in held) for window in own]
    documents = [sum(window in windows for windows in held) for window in own]

    def covered(found):
        return {at + k for at in range(len(own)) if own[at] in found for k in range(size)}

    everything = {window for windows in held for window in windows}
    return counts, documents, covered(everything), [len(covered(set(one))) for one in held]


def stretches_of(counts):
    """Return (first, past) of the maximal runs of windows that occur."""
    edges = [at for at in range(len(counts) + 1) if at == len(counts) or counts[at] == 0]
    firsts = [0, *(at + 1 for at in edges)]
    return [(a, b) for a, b in zip(firsts, edges, strict=False) if b > a]


def assert_counted(answer: Answer, query, corpus, size):
    """Require all counts of windows of an answer to be those by definition."""
    counts, documents, covered, held = brute(query, corpus, size)
    assert answer.words == len(reference.words(query))
    assert answer.window_words == min(size, answer.words)
    assert answer.windows == len(counts)
    assert answer.occurring == sum(count > 0 for count in counts)
    assert answer.covered_words == len(covered)
    assert answer.holders == sum(count > 0 for count in held)
    assert [one.words for one in answer.top_holders] == sorted(held, reverse=True)[
        : min(5, answer.holders)
    ]
    spans = reference.byte_spans(query)
    expected = [
        (
            spans[a][0],
            spans[b + answer.window_words - 2][1],
            b - a + answer.window_words - 1,
            min(counts[a:b]),
            max(counts[a:b]),
            max(documents[a:b]),
        )
        for a, b in stretches_of(counts)
    ]
    expected.sort(key=lambda one: (-one[4], -one[2], one[0]))
    assert answer.stretches == len(expected)
    assert [dataclasses.astuple(one)[:6] for one in answer.top_stretches] == expected[:5]
    assert (answer.most is None) == (max(counts) == 0)
    if answer.most is not None:
        assert answer.most.most == max(counts)
        assert answer.most.documents == documents[counts.index(max(counts))]


@pytest.mark.parametrize("name", QUERIES)
def test_every_window_is_counted_exactly(small, name):
    """Counts, documents, stretches and covered words are those by definition."""
    answer = lookup(small, QUERIES[name].encode())
    assert_counted(answer, QUERIES[name], CORPUS, SIZE)


@pytest.mark.parametrize("name", QUERIES)
def test_near_documents_have_their_exact_jaccard(small, name):
    """The five best of all different texts at 0.1 or more, by brute force over the shingle sets."""
    query = QUERIES[name]
    answer = lookup(small, query.encode())
    expected = {}
    for place, one in zip(NAMES, CORPUS, strict=True):
        shared, either = reference.jaccard(query, one)
        if one != query and shared >= 0.1 * either and shared and one not in expected:
            expected[one] = (-shared / either, place, shared, either, CORPUS.count(one))
    best = sorted(expected.values())[:5]
    found = [
        (
            -one.jaccard,
            (one.document.shard, one.document.row),
            one.shared_shingles,
            one.all_shingles,
            one.copies,
        )
        for one in answer.nearest
    ]
    assert found == best
    own = len(set(reference.shingles(query)))
    assert [one.containment for one in answer.nearest] == [
        one.shared_shingles / own for one in answer.nearest
    ]
    assert answer.exact_copies == CORPUS.count(query)
    assert [(one.shard, one.row) for one in answer.top_exact_copies] == [
        place for place, one in zip(NAMES, CORPUS, strict=True) if one == query
    ]


def test_random_texts_of_few_words_are_counted_exactly(tmp_path, make_corpus, scan):
    """Texts of three different words repeat in every way that windows can."""
    generator = random.Random(5)  # noqa: S311 - no secret

    def some(most):
        return " ".join(generator.choices(["a", "b", "\u00e7"], k=generator.randint(1, most)))

    corpus = [some(40) for _ in range(60)]
    done = scan(
        make_corpus(tmp_path / "corpus", {"a.jsonl": corpus}), tmp_path / "run", "window.words=6"
    )
    for _ in range(60):
        query = some(30)
        assert_counted(lookup(done.folder, query.encode(), threads=3), query, corpus, 6)


def test_windows_of_the_default_size_and_a_large_vocabulary(tmp_path, make_corpus, scan):
    """A chunk of more than 65,536 different words, and windows of 50 that occur once only."""
    long = " ".join(f"w{n}" for n in range(70_000))
    piece = " ".join(f"w{n}" for n in range(69_900, 69_980))
    corpus = make_corpus(tmp_path / "corpus", {"a.jsonl": [long, "w1 w2", piece]})
    folder = scan(corpus, tmp_path / "run", filtered=False).folder
    answer = lookup(folder, " ".join(f"w{n}" for n in range(69_920, 70_010)).encode())
    assert (answer.windows, answer.occurring, answer.covered_words) == (41, 31, 80)
    assert [dataclasses.astuple(one)[2:6] for one in answer.top_stretches] == [(80, 1, 2, 2)]
    assert [(one.words, one.document.row) for one in answer.top_holders] == [(80, 0), (60, 2)]
    assert answer.top_holders[0].document.decision is None


def test_decisions_name_the_keeper(small):
    """What the filter did is told of each document; stale decisions are not."""
    answer = lookup(small, PASSAGE.encode())
    told = [(one.decision, one.reason) for one in answer.top_exact_copies]
    assert told == [("kept", None), ("removed", "exact_copy")]
    keeper = answer.top_exact_copies[1].keeper
    assert keeper is not None
    assert (keeper.doc_id, keeper.shard, keeper.row) == ("a.jsonl#0", "a.jsonl", 0)
    undecided = lookup(small, PASSAGE.encode(), stale=("decisions",))
    assert [one.decision for one in undecided.top_exact_copies] == [None, None]


def test_the_answer_does_not_depend_on_threads(small):
    """One thread and four give the same answer."""
    one, four = (lookup(small, PASSAGE.encode(), threads=n) for n in (1, 4))
    assert one == four


def test_no_count_rests_on_the_hash_of_a_window():
    """With every window of the same hash the counts are the same: words are compared."""
    numbers = np.array([1, 2, 1, 2, 3, 1, 2, 1], np.uint32)
    codes = np.array([1, 2, 1, 2, 3, 1, 2, 1, 0, 2, 1, 2, 1, 2, 3], np.uint16)
    known, offsets = np.array([0, 1, 2, 3], np.uint32), np.array([0, 9, 15], np.int64)
    results = []
    for spelled in (np.array([0, 11, 22, 33], np.uint64), np.zeros(4, np.uint64)):
        none = np.zeros(0, np.uint32)
        own = text.Words(np.array([0, 8], np.int64), spelled[numbers], none, none)
        _, hashes = text.runs(own, 3, 1)
        first, later = np.empty(6, np.int64), np.empty(6, np.int64)
        slots = np.zeros(16, np.uint32)
        lookup_kernels.index(numbers, hashes, slots, first, later)
        assert first.tolist() == [0, 1, 2, 3, 4, 0]
        assert later.tolist() == [5, -1, -1, -1, -1, -1]
        drop = np.uint64(pow(BASE, 3, 2**64))
        sought = Sought(numbers, spelled, slots, hashes, first, later, text.run_key(1, 3), drop)
        counted = ChunkCounts(np.zeros(6, np.int64), np.zeros(6, np.int64), np.zeros(2, np.int64))
        lookup_kernels.count(codes, offsets, known, sought, counted)
        results.append([values.tolist() for values in counted])
    assert results == [[[3, 3, 2, 1, 1, 0], [2, 2, 2, 1, 1, 0], [8, 8]]] * 2


def test_a_word_of_the_same_hash_but_other_letters_stops_the_query(small):
    """Words of what is found are held against their letters."""
    asked = ask(PASSAGE.encode(), Config(window={"words": SIZE}), "text")
    places = words.chunk_places(sorted(small.glob("words/*.parquet")))
    proposed = np.zeros(0, np.uint64)
    assert look(asked, proposed, Config().sketch, places[0]).holders
    letters = asked.spelling.letters.copy()
    letters[0] ^= 1
    other = dataclasses.replace(
        asked, spelling=dataclasses.replace(asked.spelling, letters=letters)
    )
    with pytest.raises(IntegrityError, match="same 64-bit hash"):
        look(other, proposed, Config().sketch, places[0])


def test_a_text_of_many_copies_takes_one_place(monkeypatch):
    """Copies of a text count as one, however they are spread over the corpus, and are counted."""
    monkeypatch.setattr(nearest, "PROPOSED", 2)
    found = nearest.Proposals()
    rows = [(key, key % 4, {0: 9, 1: 7, 2: 7, 3: 1}[key % 4]) for key in range(40)]
    for first in range(0, 40, 3):
        part = rows[first : first + 3]
        keys, hashes, agree = (np.array(column) for column in zip(*part, strict=True))
        halves = np.stack([hashes, hashes], axis=1).astype(np.uint64)
        found.add((keys.astype(np.uint64), halves, agree.astype(np.int64)))
    assert found.keys.tolist() == [0, 1]
    assert found.copies.tolist() == [10, 10]


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"", "is empty"), (b" \n-- !", "has no words"), (b"caf\xe9", "is not UTF-8")],
)
def test_a_text_that_cannot_be_looked_for_is_refused(small, data, what):
    """The message names where the text is from and never quotes it."""
    with pytest.raises(ConfigError, match=what) as caught:
        lookup(small, data, name="--file x")
    assert caught.value.where == "--file x"
    assert caught.value.exit_code == 2


def test_a_run_without_a_finished_scan_is_refused(tmp_path, small):
    """A folder that is no run, and tables that are not current, are named."""
    with pytest.raises(RunFolderError, match="not a run folder"):
        lookup(tmp_path, b"text")
    with pytest.raises(ConfigError, match="not finished") as caught:
        lookup(small, b"text", stale=("counts", "words", "pairs"))
    assert caught.value.found == "missing or not current: words, counts"


def test_words_and_json_tell_the_same(small):
    """The terminal's words hold the figures of the JSON, whose keys are the fields."""
    answer = lookup(small, PASSAGE.encode())
    told = json.loads(as_json(answer))
    assert list(told) == [field.name for field in dataclasses.fields(Answer)]
    assert told["top_exact_copies"][1]["keeper"] == {
        "doc_id": "a.jsonl#0",
        "shard": "a.jsonl",
        "row": 0,
    }
    said = in_words(answer)
    assert said.startswith("The text: 61 bytes, 13 words; the corpus: 12 documents\n\nThis exact")
    assert (
        "This exact text is in the corpus twice\n  a.jsonl#0; kept\n  b.jsonl#3; removed as an "
        "exact copy, what stays: a.jsonl#0\n" in said
    )
    assert "10 of its 10 windows of 4 words occur; they cover 100% of its words (13 of 13)." in said
    assert "Documents that hold most of it (5)\n  13 of 13 words: a.jsonl#0; kept" in said
    assert (
        "Nearest other documents (exact Jaccard of their shingles)\n  0.6923, 9 of 13 shingles, "
        "100% of the text's: a.jsonl#1; kept\n" in said
    )


def test_nothing_found_is_an_answer(small):
    """An unknown text has its own words, of a short text too."""
    said = in_words(lookup(small, b"nothing of this is anywhere"))
    assert "None of its 2 windows of 4 words occurs." in said
    assert "Nearest documents\n  none reaches Jaccard 0.1 with it" in said
    said = in_words(lookup(small, b"nowhere"))
    assert "1 word;" in said
    assert "Its word occurs nowhere in the corpus." in said
    said = in_words(lookup(small, b"Two! words"))
    assert "Its 2 words occur in this order twice, in 2 documents." in said


def test_hostile_texts_and_names_are_safe_on_a_terminal(tmp_path, scan):
    """No control or bidi character of the text or of an id is printed; addresses are masked."""
    hostile = "pay \x1b[31m root@example.org \u202e now and then again"
    name = "bad\x1b[2J\u202eid"
    table = pa.table({"id": [name], "text": [hostile]})
    (tmp_path / "corpus").mkdir()
    pq.write_table(table, tmp_path / "corpus/a.parquet")
    folder = scan(tmp_path / "corpus", tmp_path / "run", "window.words=3").folder
    answer = lookup(folder, hostile.encode())
    for said in (in_words(answer), as_json(answer)):
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "root@example.org" not in said
    assert json.loads(as_json(answer))["top_holders"][0]["document"]["doc_id"] == name


def test_queries_can_run_side_by_side(small):
    """Kernels hold no state: queries from several threads answer as alone."""
    alone = [lookup(small, query.encode()) for query in QUERIES.values()]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda q: lookup(small, q.encode()), QUERIES.values()))
    assert together == alone


def test_every_reason_of_a_removal_has_its_words():
    """A row may have gone by any rule: none is told by the bare name of its reason."""
    told = DECISIONS.field("reason").metadata[b"doc"].decode().partition(": ")[2].split(" | ")
    assert (
        {*REMOVED_AS}
        == {*REASONS}
        == {*told} - {"repeated", "item_cut", "personal_masked", "restored"}
    )  # those rows stay
    assert removed_as("contained") == "contained in a longer document"
    assert removed_as("of_another_version") == "of another version"


def test_an_older_table_in_the_place_of_ours_is_refused(tmp_path, small):
    """Another file of the same schema has good checksums; its digest tells it from ours."""
    shutil.copytree(small, tmp_path / "run")
    path = tmp_path / "run" / "signatures" / "g00000.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(IntegrityError, match="damaged") as refused:
        lookup(tmp_path / "run", b"two words")
    assert refused.value.where == str(path)


def test_an_answer_says_that_the_corpus_has_changed(tmp_path, make_corpus, scan):
    """Counts are of the scan, so a file that changed since is told beside them."""
    corpus = make_corpus(tmp_path / "corpus", TEXTS)
    folder = scan(corpus, tmp_path / "run", "window.words=4", filtered=False).folder
    assert "changed" not in in_words(lookup(folder, PASSAGE.encode()))
    (corpus / "b.jsonl").write_text('{"text": "all new"}\n')
    answer = lookup(folder, PASSAGE.encode())
    assert (answer.changed_shards, answer.exact_copies) == (1, 2)
    assert "1 file of the corpus changed since the scan" in in_words(answer)
