"""Doses counted again over the rows that stay."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from pipeline.config.load import load_config
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, read_table, write_table
from pipeline.filter import recount
from pipeline.filter.tally import RuleTally
from schemas.filter.decisions import CUTS
from schemas.filter.documents import DOCUMENTS
from schemas.score.risk import RISK, RISK_MODEL

PASSAGE = "tyger tyger burning bright in the forests of the night"
TEXTS = [
    f"{PASSAGE} what immortal hand",
    f"{PASSAGE} what immortal hand",
    f"he said {PASSAGE} and she said {PASSAGE} what immortal",
    "forests of the night what immortal hand or eye could frame",
    "nothing of the kind",
]


def model(slope):
    """Return two sequences of row 0 and one of row 3, whose log odds are `slope` x log dose."""
    rows = [
        (0, 0, len(PASSAGE), PASSAGE.index("forests")),
        (0, PASSAGE.index("forests"), len(TEXTS[0]), len(PASSAGE) + 1),
        (3, 0, len(TEXTS[3]), TEXTS[3].index("what")),
    ]
    names = ("row_key", "start_byte", "end_byte", "suffix_byte")
    columns: dict[str, list[float]] = {
        name: [row[k] for row in rows] for k, name in enumerate(names)
    }
    columns |= {"weight": [2.0, 4.0, 1.0], "epochs": [1.0] * 3, "offset": [0.0] * 3}
    for name in ("slope_count", "slope_effective", "slope_suffix", "slope_ratio"):
        columns[name] = [1.0 if name == slope else 0.0] * 3
    return conform(pa.table(columns), RISK_MODEL)


@pytest.fixture(scope="module")
def done(tmp_path_factory, make_corpus, scan):
    """Give the run over TEXTS."""
    folder = tmp_path_factory.mktemp("doses")
    return scan(make_corpus(folder / "c", {"a.jsonl": TEXTS}), folder / "run")


def decided(done, **made):
    """Return the unit of work of the decisions of a run, with tables of the score beside its own.

    Args:
        done: the run.
        made: rows of each table by its name.
    """
    tables: dict[str, tuple[str, ...]] = {}
    for entry in done.manifest["outputs"].values():
        for record in entry["files"]:
            tables[record["table"]] = (*tables.get(record["table"], ()), record["path"])
    for name, rows in made.items():
        with write_table(done.folder, name, "all", rows.schema) as out:
            out.write(rows)
        tables[name] = (out.record.path,)
    return Work("decisions", "all", done.folder, load_config(), (), tables)


def counts(done, slope, gone=(), cuts=None):
    """Return the doses that `risk_after` counts: odds are doses when the log odds are their log."""
    work = decided(done, risk_model=model(slope))
    known = recount.scored(work)
    assert known is not None
    left = recount.risk_after(work, known, np.array(gone, np.uint64), cuts)
    risk = left.risk
    return known, risk, np.round(risk / (1 - risk), 3).tolist()


def test_with_all_rows_doses_are_the_corpuss(done):
    """A passage counts in every document, twice where it stands twice; its suffix by itself."""
    assert counts(done, "slope_count")[2] == [4.0, 3.0, 1.0]
    assert counts(done, "slope_suffix")[2] == [5.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("gone", "expected", "suffix"),
    [
        ([1], [3.0, 2.0, 1.0], [4.0, 2.0, 1.0]),
        ([2], [2.0, 3.0, 1.0], [3.0, 3.0, 1.0]),
        ([0, 1], [2.0, 1.0, 1.0], [3.0, 1.0, 1.0]),
        ([0, 1, 2, 3, 4], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    ],
)
def test_rows_that_go_take_their_occurrences_along(done, gone, expected, suffix):
    """What is counted is what stays; a sequence that occurs nowhere has no risk."""
    assert counts(done, "slope_count", gone)[2] == expected
    assert counts(done, "slope_suffix", gone)[2] == suffix


def test_effective_counts_are_of_the_rows_that_stay(done):
    """Exact copies that stay count one each, near copies by their weight."""
    whole = counts(done, "slope_effective")[2]
    less = counts(done, "slope_effective", [1])[2]
    assert whole[0] - less[0] == pytest.approx(1.0)


def test_words_that_are_cut_do_not_count(done):
    """Cutting one of the two passages of row 2 takes one occurrence."""
    start = TEXTS[2].rindex("tyger tyger")
    cut = pa.table([[2], [start], [start + len(PASSAGE)], [10], [None]], CUTS.names)
    assert counts(done, "slope_count", [], conform(cut, CUTS))[2] == [3.0, 3.0, 1.0]


def test_a_documents_risk_is_the_largest_of_its_sequences(done):
    """Copies share it; a document without a forecast has none; expected tokens count texts once."""
    known, risk, _ = counts(done, "slope_count")
    found = recount.of_documents(known, risk, np.array([0, 0, 2, 3, 4], np.uint64))
    assert np.round(found[[0, 1, 3]], 3).tolist() == [0.8, 0.8, 0.5]
    assert np.isnan(found[[2, 4]]).all()
    tokens = recount.expected_tokens(known, risk, np.array([2, 1]))
    assert tokens == pytest.approx(32 * (0.8 * 2 / 2 + (3 / 4) * 4 / 2 + 0.5))


def test_a_passage_of_many_documents_is_one_sequence(tmp_path, make_corpus, scan):
    """Boilerplate that ten documents share is one different sequence, not one for each of them."""
    texts = [f"{PASSAGE} in document number {n}" for n in range(10)]
    done = scan(make_corpus(tmp_path / "c", {"a.jsonl": texts}), tmp_path / "run")
    columns: dict[str, list[float]] = {"row_key": list(range(10))}
    columns |= {"start_byte": [0] * 10, "end_byte": [len(PASSAGE)] * 10}
    columns |= {"suffix_byte": [PASSAGE.index("forests")] * 10, "weight": [1.0] * 10}
    columns |= {"epochs": [1.0] * 10, "offset": [0.0] * 10}
    columns |= {f"slope_{of}": [1.0] * 10 for of in ("count", "effective", "suffix", "ratio")}
    risks = [(n, 0, len(PASSAGE), 0.5, 0.5, 0.5, "seen", False, None) for n in range(10)]
    risk = pa.Table.from_pylist(
        [dict(zip(RISK.names, row, strict=True)) for row in risks], schema=RISK
    )
    work = decided(done, risk_model=conform(pa.table(columns), RISK_MODEL), risk=risk)
    tally = RuleTally(work, read_table(work.paths("documents"), DOCUMENTS))
    before, _ = tally.before_and_after["left"]
    assert before["sequences"] == 1.0
    assert [row["sequences"] for row in before["often"][:4]] == [1.0, 1.0, 1.0, 0.0]
    gone = pl.DataFrame({"row_key": np.arange(7, dtype=np.uint64), "text_bytes": [9] * 7})
    tally.note("drop-copies", gone.with_columns(rule=pl.lit("x"), reason=pl.lit("near_copy")))
    _, after = tally.before_and_after["left"]
    assert after["sequences"] == 1.0
    assert [row["sequences"] for row in after["often"][:2]] == [1.0, 0.0]
