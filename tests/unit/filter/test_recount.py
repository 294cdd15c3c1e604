"""Doses counted again over the rows that stay."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.config.load import load_config
from pipeline.engine.stage import Work
from pipeline.engine.tables import conform, write_table
from pipeline.filter import recount
from schemas.filter.decisions import CUTS
from schemas.score.risk import RISK_MODEL

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


def counts(done, slope, gone=(), cuts=None):
    """Return the doses that `risk_after` counts: odds are doses when the log odds are their log."""
    with write_table(done.folder, "risk_model", slope, RISK_MODEL) as out:
        out.write(model(slope))
    tables: dict[str, tuple[str, ...]] = {}
    for entry in done.manifest["outputs"].values():
        for record in entry["files"]:
            tables[record["table"]] = (*tables.get(record["table"], ()), record["path"])
    tables["risk_model"] = (out.record.path,)
    work = Work("decisions", "all", done.folder, load_config(), (), tables)
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
