import mmap
import pickle
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.sections import SketchConfig
from pipeline.engine.parts import parting
from pipeline.errors import IntegrityError
from pipeline.scan import signatures, words
from pipeline.scan import vocabulary as vocabularies
from pipeline.scan.signatures import signature_matrix
from pipeline.text import minhash
from pipeline.text import segmentation as text
from pipeline.text import segmentation_kernels as kernels
from tests import reference
from tests.sketched import batch_of, hold, sketch

LARGE = pa.large_string()
MIXED = [
    "One two, THREE four five six",
    "...",
    "漢字かなカ ab漢c",
    "\u212aelvin kelvin KELVIN",  # the Kelvin sign, three bytes, folds to k
    "Ⱥb ⱥb Ⱥ ⱥ",  # two bytes fold to three
    "\ufeffÄrger  über\r\n\r\ngröße",
    "a " * 300,
    " \t\n" * 90 + "late",
    "\U0001d49c \U00020000\U00020001",
    "one",
]


def expected(texts, seed=1):
    """Return what `pipeline.text.segmentation.words` gives for each text alone, as lists."""
    found = []
    for own in texts:
        batch = text.words(pa.array([own], LARGE), seed)
        found.append((batch.hashes.tolist(), batch.starts.tolist(), batch.ends.tolist()))
    return found


def held(texts, done):
    """Require each text's words, and where they lie, to be those of the text."""
    assert [*done.documents().values()] == expected(texts)
    assert [*done.documents()] == list(range(len(texts)))


def test_words_come_back_with_their_places(tmp_path):
    """Hashes, starts and ends of each document are those that its text has."""
    done = sketch(tmp_path, MIXED)
    held(MIXED, done)
    _, starts, ends = done.documents()[3]
    assert [*zip(starts, ends, strict=True)] == [(0, 8), (9, 15), (16, 22)]


def test_no_documents_are_no_chunk(tmp_path):
    """An empty corpus has a table without rows, wordless documents one row of no words."""
    assert sketch(tmp_path / "none", []).places == []
    done = sketch(tmp_path / "dots", ["...", "!"])
    assert len(done.places) == 1
    assert done.documents() == {0: ([], [], []), 1: ([], [], [])}


@pytest.mark.parametrize("gap", [0, 1, 253, 254, 255, 256, 65_535, 65_536, 70_000])
def test_gaps_of_any_width_come_back(tmp_path, gap):
    """Bytes before a first word, between two and after the last, also above one byte of a gap."""
    texts = [" " * gap + "a", "b" + "." * gap + "c", "d" + " " * gap, " " * gap, "e"]
    if gap == 0:
        texts[1], texts[3] = "漢字", "!"
    done = sketch(tmp_path, texts)
    held(texts, done)
    assert done.documents()[0][1:] == ([gap], [gap + 1])


@pytest.mark.parametrize("letter", ["a", "é", "ก", "Ⱥ", "\u212a", "\U0001d49c"])
@pytest.mark.parametrize("length", [8, 9, 4096, 100_000])
def test_words_of_many_kilobytes_come_back(tmp_path, letter, length):
    """A word is kept whole, next to one that differs in its last letter only."""
    texts = [f"x {letter * length} y {letter * (length - 1)}b", letter.lower() * length]
    held(texts, sketch(tmp_path, texts))


def test_a_word_of_two_lengths_is_one_word_at_its_own_places(tmp_path):
    """Spellings of other byte length share a hash, and each occurrence keeps its own bytes."""
    texts = ["k \u212a K", "Ⱥx ⱥx", "\u212a", "ⱥX"]
    done = sketch(tmp_path, texts)
    held(texts, done)
    (first, starts, ends) = done.documents()[0]
    assert len(set(first)) == 1
    assert (starts, ends) == ([0, 2, 6], [1, 5, 7])
    assert hold(done.places, tmp_path) == 2


def test_a_large_vocabulary_takes_wider_codes(tmp_path):
    """Above 65,536 different words a code is four bytes; one below, two."""
    fits = [" ".join(f"w{n}" for n in range(65_536)), "w0 w65535"]
    wide = [" ".join(f"w{n}" for n in range(65_537)), "w0 w65536"]
    for texts, width in ((fits, 2), (wide, 4), (wide[:1], 4)):
        done = sketch(tmp_path / str(len("".join(texts))), texts)
        held(texts, done)
        first = pq.ParquetFile(done.path).read_row_group(0).to_pylist()[0]
        assert len(first["codes"]) == width * word_count(first)


def word_count(row):
    """Return the words of one row of the table."""
    return int(np.frombuffer(row["counts"], np.uint32).sum())


def test_a_chunk_closes_at_the_end_of_a_document(tmp_path, monkeypatch):
    """Full after 5 words or 4 different ones, a chunk ends with the document that filled it."""
    texts = ["a a", "a a", "a b c d e f g", "h", "...", "i j k l", "m", "n"]
    monkeypatch.setattr(words, "FULL", np.array([5, 4], np.int64))
    done = sketch(tmp_path, texts)
    held(texts, done)
    rows = pq.read_table(done.path).to_pylist()
    keys = [np.frombuffer(row["row_keys"], np.uint64).tolist() for row in rows]
    assert keys == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [word_count(row) for row in rows] == [11, 5, 2]


@pytest.mark.parametrize("full", [(1, 1), (7, 10**6), (10**6, 3), (10**6, 10**6)])
@pytest.mark.parametrize("piece", [5, 200, 1 << 16])
def test_batches_and_pieces_change_no_byte(tmp_path, monkeypatch, full, piece):
    """Where a batch or a piece ends shows in no table; a chunk ends where its words say."""
    texts = [*MIXED, "b " * 500 + "c d e f g", "z", " ".join(f"n{n}" for n in range(450))]
    monkeypatch.setattr(words, "FULL", np.array(full, np.int64))
    usual = sketch(tmp_path / "usual", texts)
    monkeypatch.setattr(signatures, "PIECE", piece)
    for sizes in ((), (1,) * len(texts), (3, 0, 4), (0, len(texts))):
        other = sketch(tmp_path / f"{len(sizes)}", texts, sizes=sizes)
        assert other.signatures.equals(usual.signatures)
        assert other.path.read_bytes() == usual.path.read_bytes()
    held(texts, other)


@pytest.mark.parametrize(
    ("size", "piece"), [(1, 1), (1, 7), (2, 2), (2, 3), (5, 5), (5, 6), (5, 200), (7, 7), (7, 9)]
)
def test_a_document_in_many_pieces_has_the_signature_of_all_its_shingles(
    tmp_path, monkeypatch, size, piece
):
    """However a document is cut, its signature is the one that `minhash` gives at once."""
    config = SketchConfig(shingle_words=size, bands=3, rows=2)
    draw = np.random.default_rng(piece)
    texts = [" ".join(f"w{n}" for n in draw.integers(0, 60, count)) for count in range(1, 40)]
    texts += [" ".join(f"v{n}" for n in range(count)) for count in (60, 403, 1207)]
    monkeypatch.setattr(signatures, "PIECE", piece)
    done = sketch(tmp_path, texts, config=config)
    batch = text.words(pa.array(texts, LARGE), config.seed)
    whole = minhash.signatures(*text.shingles(batch, size, config.seed), 6, config.seed)
    rows, values = signature_matrix(done.signatures["signature"].chunk(0), 6)
    enough = [n for n, own in enumerate(texts) if len(reference.words(own)) >= size]
    assert rows.tolist() == enough
    np.testing.assert_array_equal(values, whole[enough])


def test_a_shingle_may_be_longer_than_a_piece(tmp_path, monkeypatch):
    """A setting of very long shingles ends too, with the signature of the definition."""
    honest, calls = kernels.scan_words, []

    def scan(*given):
        calls.append(1)
        assert len(calls) < 100, "the sketch does not come to an end"
        return honest(*given)

    monkeypatch.setattr(kernels, "scan_words", scan)
    monkeypatch.setattr(signatures, "PIECE", 4)
    config = SketchConfig(shingle_words=9, bands=1, rows=4)
    texts = [" ".join(f"w{n}" for n in range(30)), "a b c"]
    done = sketch(tmp_path, texts, config=config)
    batch = text.words(pa.array(texts, LARGE), config.seed)
    whole = minhash.signatures(*text.shingles(batch, 9, config.seed), 4, config.seed)
    rows, values = signature_matrix(done.signatures["signature"].chunk(0), 4)
    assert rows.tolist() == [0]
    np.testing.assert_array_equal(values, whole[:1])


def test_signatures_come_in_parts_of_some_size(tmp_path, monkeypatch):
    """A batch whose signatures are many is given out piece by piece, with the same rows."""
    texts = [" ".join(f"w{n}x{k}" for n in range(30)) for k in range(50)] + ["a b", "...", "c"]
    usual = sketch(tmp_path / "usual", texts)
    monkeypatch.setattr(signatures, "PIECE", 100)
    monkeypatch.setattr(signatures, "SIGNATURES_AT_ONCE", 1000)
    forgetful = cast(words.WordWriter, _Nowhere())  # a sketcher calls only its two methods
    sketcher = signatures.Sketcher(SketchConfig(), forgetful)
    sizes = [table.num_rows for table in sketcher.add(0, batch_of(texts))]
    assert sum(sizes) == 53
    assert len(sizes) > 10
    assert sketch(tmp_path / "other", texts).signatures.equals(usual.signatures)


class _Nowhere:
    """A writer of words that forgets them."""

    def begin(self, keys):
        """Take the names of documents."""

    def add(self, *words_):
        """Take words."""


def test_offsets_beyond_32_bits_do_not_wrap(tmp_path):
    """Texts that lie 5 GB into a buffer have the words and signatures of the same texts alone."""
    data = "".join(MIXED).encode()
    base = 5 * 2**30 + 3
    offsets = np.cumsum([base, *(len(own.encode()) for own in MIXED)])
    near = sketch(tmp_path / "near", MIXED)
    with mmap.mmap(-1, base + len(data)) as untouched:  # no page of it but the last is ever there
        untouched[base:] = data
        buffers = pa.py_buffer(offsets), pa.py_buffer(untouched)
        texts = pa.LargeStringArray.from_buffers(len(MIXED), *buffers)
        far = sketch(tmp_path / "far", texts, sizes=(2, 5))
        del texts, buffers
    assert far.signatures.equals(near.signatures)
    assert far.path.read_bytes() == near.path.read_bytes()


COLLIDING = [
    ["alpha beta"],  # in one document
    ["alpha", "gamma", "betas"],  # in two, both of five letters
    ["été", "naïf"],
    ["\u212a" * 3, "abcdefghi"],  # the same bytes of text, other letters
    ["a" * 5000, "a" * 4999 + "b"],
]


@pytest.fixture
def one_hash(monkeypatch):
    """Make every word hash alike."""
    honest = kernels.scan_words

    def scan(data, offsets, place, sink, out):
        begin = place[2]
        count = honest(data, offsets, place, sink, out)
        sink.hashes[begin:count] = 42
        return count

    monkeypatch.setattr(kernels, "scan_words", scan)


@pytest.mark.usefixtures("one_hash")
@pytest.mark.parametrize("texts", COLLIDING)
def test_two_words_of_one_hash_stop_the_run(tmp_path, texts):
    """They are found where they are written, or when all words are held to one another."""
    with pytest.raises(IntegrityError, match="same 64-bit hash") as stopped:
        hold(sketch(tmp_path, texts).places, tmp_path)
    assert stopped.value.where == "sketch.seed = 1"
    assert stopped.value.fix == "run again with --set sketch.seed=2"


@pytest.mark.usefixtures("one_hash")
def test_one_word_of_one_hash_does_not_stop_the_run(tmp_path):
    """Other case, other bytes of the same letters, other chunks: the word is the same."""
    done = sketch(tmp_path, ["Kelvin KELVIN", "\u212aelvin", "kelvin", "..."])
    assert hold(done.places, tmp_path) == 1


def vocabulary(count):
    """Return texts of so many different words, each in several chunks."""
    own = [f"w{n}" for n in range(count)]
    return [" ".join(own[low : low + 40]) for step in (17, 23) for low in range(0, count, step)]


def damaged(path, folder, row, change):
    """Copy a file of words with the cell of letters of one chunk changed."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[row]["letters"] = change(rows[row])
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / "words", row_group_size=1)
    return words.chunk_places([folder / "words"])


@pytest.fixture
def chunks(tmp_path, monkeypatch):
    """Sketch a thousand words into dozens of chunks."""
    monkeypatch.setattr(words, "FULL", np.array([80, 10**6], np.int64))
    done = sketch(tmp_path / "own", vocabulary(1000))
    assert len(done.places) > 40
    return done


def shared(monkeypatch, entries, chunks):
    """Let words be held in shares of so many, from so many chunks at once."""
    monkeypatch.setattr(vocabularies, "SHARE", entries)
    monkeypatch.setattr(vocabularies, "AT_ONCE", max(1, 30 * chunks))
    monkeypatch.setattr(vocabularies, "MOST_BLOCKS", 10**6)


@pytest.mark.parametrize("entries", [5, 700])
@pytest.mark.parametrize(("memory", "cores"), [(0, 1), (5000, 3), (2**40, 2)])
@pytest.mark.parametrize("at_once", [0, 10**6])
def test_words_are_held_in_any_number_of_shares(
    chunks, tmp_path, monkeypatch, entries, memory, cores, at_once
):
    """However few are compared at a time, all are counted as when they are compared together."""
    shared(monkeypatch, entries, at_once)
    assert hold(chunks.places, tmp_path, memory=memory, cores=cores) == 1000


@pytest.mark.parametrize("number", [0, 499, 999])
@pytest.mark.parametrize(("entries", "at_once"), [(5, 0), (100, 4), (10**6, 10**6)])
def test_a_collision_across_chunks_is_found_in_any_share(
    chunks, tmp_path, monkeypatch, number, entries, at_once
):
    """A word with another letter in the last chunk that has it: its hash has two meanings."""
    word = f"w{number}".encode()

    def spellings(row):
        ends = np.cumsum(np.frombuffer(row["lengths"], np.uint32)).tolist()
        return [row["letters"][low:high] for low, high in zip([0, *ends], ends, strict=False)]

    shared(monkeypatch, entries, at_once)
    rows = pq.read_table(chunks.path).to_pylist()
    holders = [at for at, row in enumerate(rows) if word in spellings(row)]
    assert len(holders) > 1

    def other(row):
        return b"".join(own if own != word else b"x" + own[1:] for own in spellings(row))

    places = damaged(chunks.path, tmp_path / "other", holders[-1], other)
    with pytest.raises(IntegrityError, match="same 64-bit hash"):
        hold(places, tmp_path)


def hold_new(new, known, folder):
    """Hold new chunks against known ones."""
    with parting(folder, 2**40, 2) as parts:
        vocabularies.hold_new_words(new, known, 1, parts)


@pytest.mark.parametrize(("at_once", "most"), [(1, 99), (16, 99), (16, 0)])
@pytest.mark.parametrize("new", [[], [0], [3, 4, 40], [1, 2]])
def test_new_words_are_held_against_known_ones(chunks, tmp_path, monkeypatch, new, at_once, most):
    """Words that are the same in new chunks and in others stop nothing."""
    monkeypatch.setattr(vocabularies, "NEW_AT_ONCE", at_once)
    monkeypatch.setattr(vocabularies, "MOST_NEW", most)
    own = [chunks.places[number] for number in new]
    hold_new(own, [place for place in chunks.places if place not in own], tmp_path)


@pytest.mark.parametrize("at_once", [1, 16])
@pytest.mark.parametrize("new", [[-1], [-2], [-1, -2], [-2, -1], [0, -1, 3]])
@pytest.mark.parametrize("letters", [b"x99", b"w999x", b"w99"])
def test_a_collision_of_a_new_word_is_found(tmp_path, monkeypatch, chunks, new, at_once, letters):
    """Another letter, one more or one less, in a new chunk or in a known one: two meanings."""
    monkeypatch.setattr(vocabularies, "NEW_AT_ONCE", at_once)
    monkeypatch.setattr(vocabularies, "MOST_NEW", 99)
    rows = pq.read_table(chunks.path).to_pylist()
    last = [at for at, row in enumerate(rows) if row["letters"].endswith(b"w999")]
    assert len(last) == 2
    table = pq.read_table(chunks.path)
    row = rows[last[1]]
    row["letters"] = row["letters"][:-4] + letters
    lengths = np.frombuffer(row["lengths"], np.uint32).copy()
    lengths[-1] = len(letters)
    row["lengths"] = lengths.tobytes()
    other = tmp_path / "other-words"
    pq.write_table(pa.Table.from_pylist(rows, table.schema), other, row_group_size=1)
    places = words.chunk_places([other])
    numbers = [last[number] if number < 0 else number for number in new]
    own = [places[number] for number in numbers]
    with pytest.raises(IntegrityError, match="same 64-bit hash"):
        hold_new(own, [place for place in places if place not in own], tmp_path)


@pytest.mark.parametrize("rows", [[], [0], [1, 2], [0, 2]])
def test_some_documents_of_a_chunk_are_those_of_the_whole(tmp_path, rows):
    """Documents that are asked for by their places have their keys and words."""
    done = sketch(tmp_path, ["a b c", f"d{' ' * 300}e", "b b  e f"])
    (place,) = done.places
    whole, some = words.read_chunk(place), words.read_documents_of(place, np.array(rows, np.int64))
    assert some.keys.tolist() == whole.keys[rows].tolist()
    expected = [whole.words.hashes[slice(*whole.words.offsets[row : row + 2])] for row in rows]
    assert np.diff(some.words.offsets).tolist() == [len(own) for own in expected]
    assert some.words.hashes.tolist() == [one for own in expected for one in own.tolist()]
    every = words.read_chunk(place, positions=True)
    placed = words.read_positions(place, np.array([*rows, *rows], np.uint32))
    assert placed.keys.tolist() == every.keys.tolist()
    for row in rows:
        own = slice(*every.words.offsets[row : row + 2])
        assert placed.words.starts[own].tolist() == every.words.starts[own].tolist()
        assert placed.words.ends[own].tolist() == every.words.ends[own].tolist()


@pytest.mark.parametrize("damage", ["short", "long", "open"])
def test_gaps_that_do_not_fit_their_words_are_refused(tmp_path, damage):
    """A chunk whose gaps end too early, too late or inside a number is no positions."""
    done = sketch(tmp_path / "own", ["a b c", " " * 300 + "d"])
    table = pq.read_table(done.path)
    rows = table.to_pylist()
    gaps = rows[0]["gaps"]
    assert gaps == b"\x00\x01\x01\xff\x2c\x01\x00\x00"
    rows[0]["gaps"] = {"short": gaps[:3], "long": gaps + b"\x00", "open": gaps[:-1]}[damage]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), tmp_path / "words")
    place = (tmp_path / "words", 0)
    assert words.read_chunk(place).words.offsets.tolist() == [0, 3, 4]
    with pytest.raises(IntegrityError, match="chunk of words is damaged") as refused:
        words.read_chunk(place, positions=True)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)  # noqa: S301
