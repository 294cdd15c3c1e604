import pytest

from tests import reference, truth

FIVE = "window.words=5"
NINE = "one two three four five six seven eight nine"
TWICE = "a b c d e"
TRICKY = [
    "Ärger über größe öl und mehr davon, déjà vu!\r\nÄrger über größe öl und mehr anderes",
    "\ufeffärger ÜBER größe\r\n\r\nöl 漢字 und mehr davon 漢字かな und mehr",
    "漢字かなカ、漢字かなカ。漢字かな",
    "😀 déjà vu ärger über größe öl und",
    "...",
    "kurz",
    "a b c d e f g a b c d e f h b c d e f",
]


@pytest.fixture
def scanned(tmp_path, make_corpus, scan):
    """Give a function that scans texts, in one shard or several, and returns the run."""

    def run(texts, *settings, files=1):
        count = -(-len(texts) // files)
        shards = {f"{n}.jsonl": texts[n * count : (n + 1) * count] for n in range(files)}
        corpus = make_corpus(tmp_path / f"c{len(texts)}-{files}", shards)
        return scan(corpus, tmp_path / f"run{len(texts)}-{files}", *settings, filtered=False)

    return run


def spans_of(done, count):
    """Return the spans of each document of a run of one shard."""
    found: list[list[tuple[int, ...]]] = [[] for _ in range(count)]
    for key, *span in done.rows(
        "spans", "row_key", "start_byte", "end_byte", "words", "max_count", "documents"
    ):
        found[key].append(tuple(span))
    return found


def counted(done):
    """Return the sorted (occurrences, documents) of all windows."""
    return truth.of_runs(done)


def test_windows_are_counted_in_all_documents_and_in_each(scanned):
    """Twice in one document is two occurrences in one document; no window crosses two documents."""
    done = scanned([f"{TWICE} {TWICE}", "a b c", "d e a b c"], FIVE)
    # the windows of `a b c d e a b c d e`: abcde twice, bcdea, cdeab, deabc once each; deabc again
    assert counted(done) == [(2, 1), (2, 2)]
    assert done.rows("counts", "max_window_count", "repeated_words") == [
        (2, 10),
        (0, 0),
        (2, 5),
    ]


def test_documents_never_run_into_one_another(scanned):
    """Two documents that would hold a window if joined hold none."""
    done = scanned(["a b c d", "e a b", "c d e"], FIVE)
    assert counted(done) == []
    assert done.manifest["outputs"]["windows/all"]["facts"]["windows"] == 0


def test_a_span_is_in_bytes_of_the_original_text(scanned):
    """Offsets count a byte order mark, carriage returns and multi-byte letters."""
    done = scanned(["\ufeffÉ b,\r\nc d É x", "é B c (d) é"], FIVE)
    assert spans_of(done, 2) == [[(3, 16, 5, 2, 2)], [(0, 13, 5, 2, 2)]]
    data = "\ufeffÉ b,\r\nc d É x".encode()
    assert data[3:16].decode() == "É b,\r\nc d É"


def test_a_run_of_repeated_windows_is_one_span(scanned):
    """Windows that follow one another join; its counts are the largest of them."""
    done = scanned([f"x {NINE} y", f"{NINE} z", "two three four five six"], FIVE)
    assert spans_of(done, 3) == [
        [(2, 2 + len(NINE), 9, 3, 3)],
        [(0, len(NINE), 9, 3, 3)],
        [(0, 23, 5, 3, 3)],
    ]


def test_spans_that_overlap_count_each_word_once(scanned):
    """Two runs with an unrepeated window between them share words; repeated words are the union."""
    texts = ["a b c d e f g", "a b c d e", "c d e f g"]
    done = scanned(texts, FIVE)
    assert spans_of(done, 3)[0] == [(0, 9, 5, 2, 2), (4, 13, 5, 2, 2)]
    assert done.table("counts")["repeated_words"].to_pylist() == [7, 5, 5]


def test_runs_with_a_gap_leave_the_gap_out(scanned):
    """Words between two runs that no repeated window covers are not counted."""
    done = scanned(["a b c d e x y z a b c d e"], FIVE)
    assert spans_of(done, 1) == [[(0, 9, 5, 2, 1), (16, 25, 5, 2, 1)]]
    assert done.table("counts")["repeated_words"].to_pylist() == [10]


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_everything_agrees_with_brute_force(scanned, size):
    """Counts, spans and covered words of tricky texts are those of the definition."""
    done = scanned(TRICKY, f"window.words={size}")
    assert counted(done) == sorted(truth.window_counts(TRICKY, size).values())
    assert spans_of(done, len(TRICKY)) == truth.spans(TRICKY, size)
    found = done.table("counts")
    assert found["repeated_words"].to_pylist() == truth.covered_words(TRICKY, size)
    most = [max((span[3] for span in own), default=1) for own in truth.spans(TRICKY, size)]
    short = [len(reference.words(text)) < size for text in TRICKY]
    expected = [0 if few else count for few, count in zip(short, most, strict=True)]
    assert found["max_window_count"].to_pylist() == expected


def test_a_window_is_fifty_words_by_default(scanned):
    """49 shared words are no window; 50 are."""
    words = [f"w{n}" for n in range(50)]
    done = scanned([" ".join(words), " ".join(["x", *words]), " ".join(words[:49])])
    assert counted(done) == [(2, 2)]
    assert [span[2:] for own in spans_of(done, 3) for span in own] == [(50, 2, 2), (50, 2, 2)]


def test_shards_do_not_change_the_counts(scanned):
    """The same texts in one shard or in four give the same windows, and spans with their hashes."""
    one, four = scanned(TRICKY, FIVE), scanned(TRICKY, FIVE, files=4)
    of_windows = ("first_word", "windows", "occurrences", "documents")
    assert one.rows("windows", *of_windows) == four.rows("windows", *of_windows)
    of_spans = ("start_byte", "end_byte", "words", "max_count", "documents", "window")
    assert one.rows("spans", *of_spans) == four.rows("spans", *of_spans)


def test_the_window_of_a_span_names_its_most_frequent_text(scanned):
    """Spans of the same repeated text carry the same window, whatever stands around it."""
    done = scanned(["p q r s t u", "x q r s t u y", "q r s t u"], FIVE)
    assert len(set(done.rows("spans", "window", "max_count"))) == 1


def test_the_manifest_tells_how_far_the_counts_can_be_trusted(scanned):
    """The expected number of wrong counts is n^2 / 2^65 for n windows."""
    facts = scanned([NINE, NINE], FIVE).manifest["outputs"]["windows/all"]["facts"]
    assert facts == {"windows": 10, "repeated": 5, "expected_wrong_counts": 2.71e-18}
