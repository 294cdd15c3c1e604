"""Rows that are brought back, rows that are forgotten for good."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.dry_run import preview
from pipeline.engine.manifest import load_manifest
from pipeline.errors import ConfigError, IntegrityError
from pipeline.filter.overrides import cannot_reach, forget, restore

PASSAGE = "my name is alice and this is my secret story of one two three four five"
TEXTS = [
    f"{PASSAGE} six seven eight nine ten eleven twelve",
    f"{PASSAGE} six seven eight nine ten eleven twelve!",
    f"{PASSAGE} six seven eight nine ten eleven twelve",
    "quite another text about the sea and the ships on it",
    f"a longer text that quotes: {PASSAGE} and goes on with many words of its own, more than half",
]


@pytest.fixture
def done(tmp_path, make_corpus, scan):
    """Give a filtered run: rows 0 and 2 are equal, 1 is near, 4 quotes them."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": TEXTS[:3], "b.parquet": TEXTS[3:]})
    return scan(corpus, tmp_path / "run", "window.words=5")


def filtered(folder):
    """Filter a run folder again with its own settings."""
    config = load_config(base=load_manifest(folder)["config"])
    with run.session(folder, config, LocalMapper(2)) as session:
        run.filter_rows(session)


def everything_in(folder):
    """Return all bytes of all columns of a folder of shards, as Python shows them."""
    tables = [pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))]
    return repr([table.to_pylist() for table in tables])


def test_a_restored_row_comes_back_and_says_so(done):
    """After `rote restore` the next filter keeps the row; undone, the rules take it again."""
    before = (done.folder / "kept/a.parquet").read_bytes()
    assert len(done.table("kept")) == 3
    assert restore(done.folder, ["a.jsonl#2"]) == 1
    filtered(done.folder)
    assert sorted(row["row_key"] for row in done.table("kept")["rote"].to_pylist())[:2] == [1, 2]
    decided = done.rows("decisions", "row_key", "action", "rule", "reason")
    assert decided[2] == (2, "keep", "restore", "restored")
    restore(done.folder, ["a.jsonl#2"], undo=True)
    filtered(done.folder)
    assert (done.folder / "kept/a.parquet").read_bytes() == before


def test_a_restored_row_whose_text_changed_is_decided_anew(done, make_corpus, scan):
    """Another text in its place was never asked for."""
    restore(done.folder, ["a.jsonl#2"])
    corpus = done.folder.parent / "c"
    make_corpus(corpus, {"a.jsonl": [TEXTS[1], TEXTS[0], TEXTS[0]]})
    again = scan(corpus, done.folder, "window.words=5")
    assert {row[1] for row in again.rows("decisions", "row_key", "rule")} <= {
        None,
        "restore",
        "drop-copies",
    }
    make_corpus(corpus, {"a.jsonl": [TEXTS[1], TEXTS[0], TEXTS[3]]})
    again = scan(corpus, done.folder, "window.words=5")
    assert "restore" not in {row[0] for row in again.rows("decisions", "rule")}


def test_a_forgotten_text_is_nowhere_in_kept_or_removed(done):
    """The row, its copy and its near copy go; removed/ has their keys and not one value."""
    assert forget(done.folder, ["a.jsonl#0"], load_config()) == 2
    assert not (done.folder / "kept/_SUCCESS").exists()
    filtered(done.folder)
    reasons = {row[0]: row[1] for row in done.rows("decisions", "row_key", "reason")}
    assert [reasons[key] for key in (0, 1, 2)] == ["forgotten"] * 3
    assert "alice" not in everything_in(done.folder / "removed")
    kept = everything_in(done.folder / "kept")
    assert TEXTS[0] not in kept
    assert kept.count("alice") == 1  # the other row that quotes it, which is said
    facts = done.manifest["outputs"]["decisions/all"]["facts"]["forgotten"]
    assert facts == {"rows": 3, "kept_documents_that_share_a_window": 1}
    assert "1 kept documents share" in " ".join(cannot_reach(done.manifest))
    rows = done.table("removed")["rote"].to_pylist()
    assert [(row["row_key"], row["reason"], row["keeper"]) for row in rows] == [
        (key, "forgotten", None) for key in (0, 1, 2)
    ]


def test_later_scans_keep_a_forgotten_text_out(done, make_corpus, scan):
    """A shard added later brings it again, and a new near copy: both go at once."""
    forget(done.folder, ["a.jsonl#0"], load_config())
    corpus = done.folder.parent / "c"
    make_corpus(corpus, {"z.jsonl": [TEXTS[0], f"{TEXTS[0]} thirteen", "an honest new text"]})
    again = scan(corpus, done.folder, "window.words=5")
    reasons = {row[0]: row[1] for row in again.rows("decisions", "row_key", "reason")}
    later = sorted(key for key in reasons if key >= 2 << 40)
    assert [reasons[key] for key in later] == ["forgotten", "forgotten", None]


def test_forgetting_wins_over_restoring_and_exempting(done):
    """Neither a restore list nor an exempt source keeps what is to be forgotten."""
    restore(done.folder, ["a.jsonl#0"])
    forget(done.folder, ["a.jsonl#0"], load_config())
    filtered(done.folder)
    assert "forgotten" in [row[0] for row in done.rows("decisions", "reason")]
    assert TEXTS[0] not in everything_in(done.folder / "kept")


def test_a_name_that_is_no_documents_is_refused(done):
    """The unknown ids are named, and nothing is noted."""
    for action in (restore, lambda out, names: forget(out, names, load_config())):
        with pytest.raises(ConfigError, match="No document") as refused:
            action(done.folder, ["a.jsonl#0", "nobody"])
        assert refused.value.found == "'nobody'"
    assert "restored" not in done.manifest
    assert "forgotten" not in done.manifest


def test_writing_a_forgotten_text_to_kept_stops_the_filter(done, monkeypatch):
    """Were a decision wrong, the bytes themselves are looked at before they are written."""
    forget(done.folder, ["a.jsonl#0"], load_config())
    monkeypatch.setattr("pipeline.filter.decisions.forgotten_rows", lambda _: np.zeros(0, "u8"))
    with pytest.raises(IntegrityError, match="to be forgotten would be kept"):
        filtered(done.folder)


def test_a_dry_run_tells_what_a_filter_takes_and_writes_nothing(done):
    """Its rows and bytes are those of the filter itself; the run folder stays as it was."""
    before = {p: p.read_bytes() for p in done.folder.rglob("*") if p.is_file()}
    config = load_config(
        base=done.manifest["config"],
        settings=["near.threshold=1.0", "near.count_threshold=0.5", 'policy.rules=["keep-n"]'],
    )
    told = preview(done.folder, config)
    assert told is not None
    assert {p: p.read_bytes() for p in done.folder.rglob("*") if p.is_file()} == before
    assert told["rules"] == [{"rule": "keep-n", "rows": 1, "bytes": len(TEXTS[0])}]
    with run.session(done.folder, config, LocalMapper(1)) as session:
        run.filter_rows(session)
    assert done.manifest["outputs"]["decisions/all"]["facts"] == told


def test_a_rule_on_risk_is_refused_without_a_forecast(done):
    """By name, with the command that helps; kept/ stays as it was."""
    config = load_config(
        settings=["window.words=5", 'policy.rules=["drop-risk"]', "policy.risk=0.5"]
    )
    before = (done.folder / "kept/a.parquet").read_bytes()
    with (
        run.session(done.folder, config, LocalMapper(1)) as session,
        pytest.raises(ConfigError, match="needs a forecast") as refused,
    ):
        run.filter_rows(session)
    assert "drop-risk" in refused.value.where
    assert "rote score" in refused.value.fix
    assert (done.folder / "kept/a.parquet").read_bytes() == before
