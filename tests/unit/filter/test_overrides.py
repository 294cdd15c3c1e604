"""Rows that are brought back, rows that are forgotten for good."""

import random

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.dry_run import preview
from pipeline.engine.manifest import load_manifest
from pipeline.engine.run_folder import noted
from pipeline.errors import ConfigError, IntegrityError
from pipeline.filter.near_texts import near_documents
from pipeline.filter.overrides import cannot_reach, forget, restore
from tests import reference

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
    taken = forget(done.folder, ["a.jsonl#0"], load_config())
    assert sorted(taken.texts.values()) == [False, True]
    head, *rows = taken.lines()
    assert head.startswith("forgetting 2 texts in 3 rows: 1 named and 1 near copies, all documents")
    assert rows == [
        "  named  a.jsonl#0 (a.jsonl#0)",
        "  near   a.jsonl#1 (a.jsonl#1)",
        "  copy   a.jsonl#2 (a.jsonl#2)",
    ]
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


def test_a_report_that_may_quote_it_goes_and_that_is_said(done):
    """Before, in a dry run, it is told; then its files are deleted with the entry."""
    config = load_config(base=load_manifest(done.folder)["config"])
    with run.session(done.folder, config, LocalMapper(1)) as opened:
        run.write_report(opened)
    asked = (done.folder, ["a.jsonl#0"], config)
    assert (
        "report, which may quote them, would be"
        in forget(*asked, dry_run=True).lines(dry_run=True)[-1]
    )
    assert (done.folder / "report/index.html").is_file()
    assert "report, which may quote them, is deleted" in forget(*asked).lines()[-1]
    assert not [*(done.folder / "report").rglob("*.html")]
    assert "report" not in forget(*asked).lines()[-1]


def test_what_proxies_learnt_is_told_until_a_scoring_knows_of_it(done):
    """The message names models/ and taught/, and what trains anew; not after that."""
    forget(done.folder, ["a.jsonl#0"], load_config())
    filtered(done.folder)
    manifest = done.manifest
    assert "taught/" not in " ".join(cannot_reach(manifest))
    manifest["outputs"]["sequences/all"] = {"made_from": {"besides": "", "read": {}}}
    told = " ".join(cannot_reach(manifest))
    assert all(word in told for word in ("models/", "taught/", "rote score"))
    manifest["outputs"]["sequences/all"]["made_from"]["read"] = noted(manifest, "forgotten")
    assert "taught/" not in " ".join(cannot_reach(manifest))


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


def test_a_dry_run_of_forgetting_tells_the_decisions_with_it(done):
    """The facts are those of the filter once the texts are entered; the manifest has none."""
    config = load_config(base=done.manifest["config"])
    taken = forget(done.folder, ["a.jsonl#0"], config, dry_run=True)
    told = preview(done.folder, config, taken.texts)
    assert "forgotten" not in done.manifest
    forget(done.folder, ["a.jsonl#0"], config)
    filtered(done.folder)
    assert told is not None
    assert told["forgotten"]["rows"] > 0
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


STEM = " ".join(f"t{n}" for n in range(29))


def test_every_near_copy_is_forgotten_however_large_the_cluster(tmp_path, make_corpus, scan):
    """Buckets too large to pair in full, exempt sources and low ranks leave none behind."""
    rows = [
        {"id": f"d{n}", "source": "wiki" if n == 30 else "web", "text": f"{STEM} {1000 + n}"}
        for n in range(50)
    ]
    other = [{"id": "other", "source": "web", "text": "quite another text about the sea"}]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": rows[:20], "b.jsonl": [*rows[20:], *other]})
    best = ("near.bucket_cap=4", "near.neighbours=1", 'near.sources=["wiki", "web"]')
    folder = scan(corpus, tmp_path / "run", *best).folder
    config = load_config(base=load_manifest(folder)["config"])
    assert len(forget(folder, ["d30"], config).rows) == 50
    filtered(folder)
    assert "t28" not in everything_in(folder / "kept")
    assert "another text" in everything_in(folder / "kept")


def test_near_copies_are_those_of_brute_force(tmp_path, make_corpus, scan):
    """Over random texts of few words, short ones too, exactly the pairs at the threshold."""
    draw = random.Random(5)  # noqa: S311 - chosen words
    texts = [" ".join(draw.choices("abcd", k=draw.randint(1, 14))) for _ in range(150)]
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": texts[:80], "b.jsonl": texts[80:]})
    folder = scan(corpus, tmp_path / "run", "sketch.shingle_words=2", filtered=False).folder
    config = load_config(settings=["sketch.shingle_words=2", "near.threshold=0.6"])
    sets = [set(reference.shingles(one, 2)) for one in texts]
    keys = [n if n < 80 else (1 << 40) + n - 80 for n in range(150)]
    words = sorted(folder.glob("words/*.parquet"))
    for named in ([0], [3, 100], [149]):
        near = {
            key
            for key, own in zip(keys, sets, strict=True)
            if any(5 * len(own & sets[n]) >= 3 * len(own | sets[n]) for n in named)
        }
        found = near_documents(words, np.array([keys[n] for n in named], np.uint64), config, 2)
        assert set(found.tolist()) == near | {keys[n] for n in named}


def test_a_name_of_several_texts_is_refused_and_how_to_name_one_is_said(
    tmp_path, make_corpus, scan
):
    """A doubled id, or an id that is another row's place: nothing goes but what is meant."""
    rows = [
        {"id": "a.jsonl#2", "text": "the first text of all of them"},
        {"id": "twice", "text": "a second text about something else"},
        {"id": "twice", "text": "and a third one with other words"},
        {"id": "same", "text": "a fourth that is there two times"},
        {"id": "same", "text": "a fourth that is there two times"},
    ]
    folder = scan(make_corpus(tmp_path / "c", {"a.jsonl": rows}), tmp_path / "run").folder
    for name, places in (
        ("a.jsonl#2", "row:a.jsonl#0, row:a.jsonl#2"),
        ("twice", "row:a.jsonl#1, row:a.jsonl#2"),
    ):
        with pytest.raises(ConfigError, match="several rows") as refused:
            forget(folder, [name], load_config())
        assert (refused.value.where, refused.value.found) == (name, places)
        assert "row:SHARD#ROW" in refused.value.fix
    assert "forgotten" not in load_manifest(folder)

    def keys(name):
        return [row["row_key"] for row in forget(folder, [name], load_config(), dry_run=True).rows]

    assert keys("row:a.jsonl#2") == [2]
    assert keys("id:a.jsonl#2") == [0]
    assert keys("same") == [3, 4]
    assert "forgotten" not in load_manifest(folder)


def test_a_forgotten_row_cannot_be_restored(done):
    """The row, its near copy and a row that it stood for: each is refused, and why is said."""
    forget(done.folder, ["a.jsonl#0"], load_config())
    for name in ("a.jsonl#0", "a.jsonl#1", "a.jsonl#2"):
        with pytest.raises(ConfigError, match="cannot be restored") as refused:
            restore(done.folder, [name])
        assert name in refused.value.found
    assert "restored" not in load_manifest(done.folder)
    restore(done.folder, ["b.parquet#0"])
