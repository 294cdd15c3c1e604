from fractions import Fraction
from itertools import pairwise
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.corpus import read_documents
from pipeline.filter.emit import emit
from pipeline.scan import inventory, signatures
from pipeline.scan.words import chunk_places, read_chunk
from tests import truth

FEW = settings(
    deadline=None,
    max_examples=5,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SHORT = ("window.words=6", "input.most_rejected=1", "input.skip_bad_files=true")
BASE = [f"w{n}" for n in range(30)]
TABLES = (
    "signatures",
    "copies",
    "candidates",
    "audit",
    "pairs",
    "windows",
    "links",
    "spans",
    "repeats",
    "families",
    "documents",
    "decisions",
)


@st.composite
def texts(draw):
    """Draw texts that repeat one another: copies, cuts, joins, edits, other case, no words,
    nothing.
    """
    start = draw(st.integers(0, 20))
    words = BASE[start : start + draw(st.integers(0, 14))]
    for place in draw(st.lists(st.integers(0, 14), max_size=1)):
        words.insert(place, draw(st.sampled_from(["x", "é", "漢"])))
    text = draw(st.sampled_from([" ", ", ", "\r\n"])).join(words * draw(st.integers(1, 2)))
    return draw(st.sampled_from(["", "\ufeff", "😀 "])) + draw(st.sampled_from([str, str.upper]))(
        text
    )


CORPORA = st.lists(st.one_of(texts(), st.none()), min_size=1, max_size=12)


class Runs:
    """Runs of small corpora in folders of their own."""

    def __init__(self, folder, make_corpus, scan):
        self.folder, self.make_corpus, self.scan = folder, make_corpus, scan
        self.count = 0

    def __call__(self, rows, cuts=(), *, order=None, batch=None, group=None):
        """Run over rows cut into shards; order: of writing files; batch: documents at a time."""
        self.count += 1
        place = self.folder / str(self.count)
        ends = [0, *sorted(cuts), len(rows)]
        shards = {f"{n:02}.jsonl": rows[a:b] for n, (a, b) in enumerate(pairwise(ends))}
        names = list(shards) if order is None else sorted(shards, key=order)
        self.make_corpus(place / "c", {name: shards[name] for name in names})
        with mock.patch.object(inventory, "GROUP_BYTES", group or inventory.GROUP_BYTES):
            if batch is None:
                return self.scan(place / "c", place / "run", *SHORT)
            read = rebatched(batch)
            with (
                mock.patch.object(signatures, "read_documents", read),
                mock.patch.object(emit, "read_documents", read),
            ):
                return self.scan(place / "c", place / "run", *SHORT)


def rebatched(size):
    """Return a reader that gives at most `size` documents at a time."""

    def read(shard, config, **options):
        for batch in read_documents(shard, config, **options):
            fields = vars(batch)
            per_document = ("rows", "texts", "ids", "sources", "priorities", "columns")
            for start in range(0, max(1, len(batch.rows)), size):
                part = {
                    name: None if fields[name] is None else fields[name][start : start + size]
                    for name in per_document
                }
                if fields["columns"] is not None:
                    part["columns"] = fields["columns"].slice(start, size)
                late = {} if start == 0 else {"rejected": ()}
                yield type(batch)(**{**fields, **part, **late})

    return read


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_corpus, scan):
    """Give the function that runs a corpus."""
    return Runs(tmp_path_factory.mktemp("runs"), make_corpus, scan)


def rows_of(texts_):
    """Return records with a stable id."""
    return [{"text": text, "id": f"d{n}", "nested": {"n": [n]}} for n, text in enumerate(texts_)]


def by_id(done, table, *left_out):
    """Return the rows of a table of documents by id, names of rows translated to ids."""
    ids = dict(done.rows("documents", "row_key", "doc_id"))
    found = {}
    for row in done.table(table).to_pylist():
        own = {key: value for key, value in row.items() if key not in left_out}
        for key in {"representative", "keeper"} & own.keys():
            own[key] = ids.get(own[key])
        found[ids[own.pop("row_key")]] = own
    return found


def contents(folder):
    """Return the bytes of all data files of a run."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }


def words_of(done):
    """Return the words of each document: chunks end with their group."""
    found = {}
    for place in chunk_places(sorted(done.folder.glob("words/*.parquet"))):
        chunk = read_chunk(place, positions=True)
        own = chunk.words
        for key, (low, high) in zip(chunk.keys.tolist(), pairwise(own.offsets), strict=True):
            columns = (own.hashes, own.starts, own.ends)
            found[key] = [column[low:high].tolist() for column in columns]
    return found


@FEW
@given(CORPORA, st.sets(st.integers(0, 12), max_size=3))
def test_rows_are_conserved(runs, found, cuts):
    """Every row is kept, removed or rejected, once, with its own columns as they were."""
    rows = rows_of(found)
    done = runs(rows, [cut for cut in cuts if cut < len(rows)])
    out = []
    for name in ("kept", "removed"):
        for path in sorted((done.folder / name).rglob("*.parquet")):
            out += pq.read_table(path).drop_columns(["rote"]).to_pylist()
    for path in sorted((done.folder / "rejected").rglob("*.parquet")):
        out += pq.read_table(path)["record"].to_pylist()
    assert sorted(out, key=lambda row: int(row["id"][1:])) == rows


@FEW
@given(CORPORA)
def test_counts_windows_and_pairs_are_those_of_brute_force(runs, found):
    """Exact groups, window counts and covered words agree; listed pairs are exact, equal shingles
    all found.
    """
    done = runs(rows_of(found))
    places = [n for n, text in enumerate(found) if text]
    kept = [found[n] for n in places]
    own = {f"d{place}": n for n, place in enumerate(places)}
    ids = {key: own[doc_id] for key, doc_id in done.rows("documents", "row_key", "doc_id")}
    assert len(ids) == len(kept)
    groups = {n: (group[0], len(group)) for group in truth.exact_groups(kept) for n in group}
    for key, first, count in done.rows("counts", "row_key", "representative", "exact_count"):
        assert (ids[first], count) == groups[ids[key]]
    expected = truth.pairs(kept, Fraction(1, 2))
    listed = {
        (ids[a], ids[b]): (inter, union)
        for a, b, inter, union in done.rows("pairs", "a", "b", "inter", "union")
    }
    assert listed.items() <= expected.items()
    assert {pair for pair, (i, u) in expected.items() if i == u} <= listed.keys()
    assert truth.of_runs(done) == sorted(truth.window_counts(kept, 6).values())
    covered = {ids[key]: count for key, count in done.rows("counts", "row_key", "repeated_words")}
    assert [covered[n] for n in range(len(kept))] == truth.covered_words(kept, 6)
    spans: list[list[tuple[int, ...]]] = [[] for _ in kept]
    for key, *span in done.rows(
        "spans", "row_key", "start_byte", "end_byte", "words", "max_count", "documents"
    ):
        spans[ids[key]].append(tuple(span))
    assert spans == truth.spans(kept, 6)
    worth = {ids[key]: nu for key, nu in done.rows("counts", "row_key", "effective_count")}
    assert [worth[n] for n in range(len(kept))] == pytest.approx(
        truth.effective_counts(kept, listed), abs=1e-9
    )


@FEW
@given(CORPORA)
def test_every_removal_is_proved(runs, found):
    """By brute force: the keeper stays, its Jaccard is as told and at the threshold, `exact` is the
    same bytes.
    """
    done = runs(rows_of(found))
    text = {f"d{n}": value for n, value in enumerate(found)}
    kept = {row["id"] for row in done.table("kept").to_pylist()}
    for row in done.table("removed").to_pylist():
        proof = row["rote"]
        keeper = proof["keeper_doc_id"]
        assert keeper in kept
        if proof["reason"] == "exact_copy":
            assert text[keeper] == row["text"]
            assert proof["jaccard"] == 1.0
        else:
            [(inter, union)] = truth.pairs([text[keeper], row["text"]], Fraction(4, 5)).values()
            assert proof["jaccard"] == inter / union


@FEW
@given(CORPORA)
def test_the_order_of_files_changes_no_byte(runs, found):
    """The order in which files came to be, and with it that of the folder, gives the same bytes."""
    rows = rows_of(found)
    cuts = [n for n in (3, 5, 7) if n < len(rows)]
    one, other = runs(rows, cuts, group=1), runs(rows, cuts, group=1, order=lambda name: name[::-1])
    assert contents(one.folder) == contents(other.folder)


@FEW
@given(CORPORA, st.integers(1, 4), st.sampled_from([1, None]))
def test_batches_and_groups_change_no_row(runs, found, batch, group):
    """Any batching of the reader and any grouping of shards gives the same rows of every table."""
    rows = rows_of(found)
    cuts = [n for n in (3, 7) if n < len(rows)]
    one, other = runs(rows, cuts), runs(rows, cuts, batch=batch, group=group)
    for table in (*TABLES, "kept", "removed"):
        assert one.table(table).equals(other.table(table)), table
    assert words_of(one) == words_of(other)


@FEW
@given(CORPORA, st.sets(st.integers(0, 12), min_size=1, max_size=4))
def test_the_number_of_shards_changes_names_alone(runs, found, cuts):
    """The same rows in one shard or several differ in row_key, shard and row only: order of rank is
    kept.
    """
    rows = rows_of(found)
    one = runs(rows)
    several = runs(rows, [cut for cut in cuts if cut < len(rows)], group=1)
    names = ("shard", "row")
    assert by_id(one, "documents", *names) == by_id(several, "documents", *names)
    columns = ("first_word", "windows", "occurrences", "documents")
    assert one.rows("windows", *columns) == several.rows("windows", *columns)


@FEW
@given(CORPORA, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_ties_alone(runs, found, draw):
    """Counts, families and clusters of a document do not depend on where its row stands."""
    rows = rows_of(found)
    mixed = list(rows)
    draw.shuffle(mixed)
    one, other = runs(rows), runs(mixed)
    placed = ("shard", "row", "representative", "keeper", "keeper_doc_id", "method", "jaccard")
    assert by_id(one, "documents", *placed) == by_id(other, "documents", *placed)


@FEW
@given(CORPORA)
def test_running_twice_is_running_once(runs, scan, found):
    """A second run over the same corpus performs nothing and changes nothing."""
    done = runs(rows_of(found))
    before = contents(done.folder)
    again = scan(done.folder.parent / "c", done.folder, *SHORT)
    assert again.performed == []
    assert contents(done.folder) == before
    assert pa.Table.equals(done.table("counts"), again.table("counts"))
