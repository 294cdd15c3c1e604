from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.policy import PolicyConfig, SourcePolicy
from pipeline.config.sections import Config
from pipeline.corpus import identify
from pipeline.engine.manifest import manifest_bytes
from pipeline.errors import ConfigError, IntegrityError
from pipeline.inspect.contributions import contributions
from pipeline.inspect.explain import explain, explanations
from pipeline.inspect.explanation import Explanation
from pipeline.inspect.explanation_page import explanation_page
from pipeline.inspect.explanation_words import in_words, risk_lines
from pipeline.inspect.otherwise import otherwise
from pipeline.inspect.signal_words import signal_lines
from pipeline.report.quotes.differences import side_by_side
from schemas.score.sequences import PROXY, SEQUENCES, SURFACE
from tests.report_runs import make_run


def test_a_near_copy_names_its_keeper_and_the_proof(tmp_path: Path) -> None:
    """Keeper, place, the integers of the Jaccard, and the one word that differs are told."""
    text = explain(make_run(tmp_path).folder, "near")
    assert (
        "REMOVED as a near copy (rule drop-copies)\n  what stays: long (a.parquet, row 0; source "
        "site)" in text
    )
    assert (
        "proof: exact Jaccard 0.8361: 51 shingles in both of 61 in either; the threshold is 0.8"
        in text
    )
    assert "Beside what stays (the first 30 words are the same)" in text
    assert "  here:  word25 word26 word27 word28 word29 «other» word31 word32" in text
    assert "  stays: word25 word26 word27 word28 word29 «word30» word31 word32" in text
    assert (
        "This exact text occurs once.\n  2 documents are near copies of it; its cluster holds 3 "
        "documents." in text
    )
    assert "not scored" in text


def test_an_exact_copy_is_proved_by_its_bytes(tmp_path: Path) -> None:
    """The same bytes need no Jaccard; the repeated span is shown with its byte range."""
    text = explain(make_run(tmp_path).folder, "copy")
    assert "REMOVED as an exact copy" in text
    assert "proof: the same bytes of text (128-bit hash)" in text
    assert "the same text, byte for byte" in text
    assert "This exact text occurs twice." in text
    assert "Its most repeated window of 50 words occurs twice." in text
    assert "100% of its words (60 of 60) lie in repeated windows." in text
    assert "bytes 0 to 409: 60 words, up to twice in 2 documents" in text


def test_a_kept_row_tells_what_it_stands_for(tmp_path: Path) -> None:
    """The keeper of two removed rows says so and names its closest other text."""
    text = explain(make_run(tmp_path).folder, "long")
    assert (
        "KEPT\n  It stays in the place of 2 removed rows.\n  closest other text: near, exact "
        "Jaccard 0.8361" in text
    )


def test_an_id_of_two_rows_tells_both(tmp_path: Path) -> None:
    """Duplicate ids are allowed; each row is explained, and how to name one is said."""
    folder = make_run(tmp_path).folder
    text = explain(folder, "twice")
    assert text.startswith("2 rows carry this id; name one of them as shard#row.")
    assert "b.parquet, row 2" in text
    assert "b.parquet, row 3" in text
    assert explain(folder, "b.parquet#3").count("KEPT") == 1


def test_hostile_text_and_ids_are_safe_on_a_terminal(tmp_path: Path) -> None:
    """No control or bidi character of a text reaches the terminal, and addresses are masked."""
    text = explain(make_run(tmp_path, scored=True).folder, "hostile")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "root@example.org" not in text
    assert "0.750 (95% interval 0.375 to 0.900), recited" not in text
    assert "0.750 (95% interval 0.375 to 0.900), from text that the proxies had not seen" in text


def test_an_unknown_id_suggests_close_ones(tmp_path: Path) -> None:
    """The error names up to three ids that resemble the one asked for."""
    with pytest.raises(ConfigError) as caught:
        explain(make_run(tmp_path).folder, "hostil")
    assert caught.value.expected == "for example hostile"
    assert caught.value.found == "'hostil'"


@pytest.mark.parametrize("name", ["copy", "id:copy"])
def test_a_row_is_named_as_other_commands_print_it(tmp_path: Path, name: str) -> None:
    """By its id, or by its place, with or without the prefix that says which is meant."""
    folder = make_run(tmp_path).folder
    (by_id,) = explanations(folder, name)
    place = f"{by_id.row['shard']}#{by_id.row['shard_row']}"
    for other in (place, f"row:{place}"):
        assert [one.row["doc_id"] for one in explanations(folder, other)] == ["copy"]
    with pytest.raises(ConfigError, match="No document of this run has that id"):
        explain(folder, "row:copy")


def test_a_run_that_was_not_filtered_still_explains(tmp_path: Path) -> None:
    """Before the filter there are counts but no decision, and the text says so."""
    text = explain(make_run(tmp_path, decided=False).folder, "copy")
    assert "NOT DECIDED" in text
    assert "This exact text occurs twice." in text


def test_stale_tables_are_left_out(tmp_path: Path) -> None:
    """Decisions older than the last scan are not told as if they held."""
    text = explain(make_run(tmp_path).folder, "copy", stale=("documents", "decisions"))
    assert "NOT DECIDED" in text


def test_an_exact_copy_has_the_risk_of_its_text(tmp_path: Path) -> None:
    """Sequences are listed once a text; a copy is told the risk and the passage of the first."""
    text = explain(make_run(tmp_path, scored=True).folder, "copy")
    assert "0.010 (95% interval 0.005 to 0.900)" in text
    assert "\N{LEFT DOUBLE QUOTATION MARK}word0 word1 word2" in text


@pytest.mark.parametrize(
    ("doc_id", "told"),
    [
        ("near", "It would stay with near.threshold above 0.8361."),
        ("copy", "No threshold keeps both: the bytes are the same. Without the rule drop-copies"),
        ("long", "The rule cut-spans cuts of its 60 repeated words those"),
        ("b.parquet#2", "No threshold takes it."),
    ],
)
def test_what_would_have_decided_otherwise(tmp_path: Path, doc_id: str, told: str) -> None:
    """The threshold at which a row would have stayed or gone is named to four digits."""
    text = " ".join(explain(make_run(tmp_path).folder, doc_id).split())
    assert told in text


def test_a_span_says_where_else_it_is(tmp_path: Path) -> None:
    """Other documents that repeat the same window are named."""
    text = explain(make_run(tmp_path).folder, "copy")
    assert "also in long (a.parquet, row 0)" in text


def test_a_kept_row_is_told_the_risk_that_takes_it(tmp_path: Path) -> None:
    """Without the rule the risk as scanned is known, which drop-risk judges as the first rule."""
    text = explain(make_run(tmp_path, scored=True).folder, "hostile")
    told = "drop-risk, as the first of policy.rules, takes it with policy.risk at 0.7500 or below."
    assert told in " ".join(text.split())


@pytest.mark.parametrize(
    ("policy", "decided", "told"),
    [
        ({"risk": 0.2}, {}, "The rule drop-risk takes it with policy.risk at 0.0081 or below."),
        ({"risk": 0.2}, {"rows_standing_for": 3}, "drop-risk takes it with policy.risk at 0.0081"),
        (
            {"risk": 0.2, "sources": {"site": SourcePolicy(risk=0.3)}},
            {},
            "The rule drop-risk takes it with policy.sources.site.risk at 0.0081 or below.",
        ),
        ({"risk": 0.2, "exempt": ("site",)}, {}, None),
        ({"risk": 0.2, "sources": {"site": SourcePolicy(rules=("drop-copies",))}}, {}, None),
        ({"risk": 0.2}, {"risk_after": None}, None),
        ({"risk": 0.2}, {"risk_after": 0.4}, None),
        ({"risk": 0.2}, {"rule": "restore"}, None),
        (
            {"risk": 0.005},
            {"action": "drop", "reason": "risk", "rule": "drop-risk"},
            "It would stay with policy.risk above 0.0082.",
        ),
        (
            {"risk": 0.005},
            {"action": "drop", "reason": "risk", "rule": "drop-risk", "method": "exact"},
            "It goes with the row that it is a copy of, which the rule drop-risk takes.",
        ),
    ],
)
def test_drop_risk_is_told_by_the_risk_that_it_judges(
    policy: dict[str, Any], decided: dict[str, Any], told: str | None
) -> None:
    """That left by the rules before it, never that as scanned, with the source's own setting."""
    rules = {"rules": ("drop-copies", "drop-risk"), **policy}
    config = Config(policy=PolicyConfig(**rules))
    decision: dict[str, Any] = {
        "action": "keep",
        "rule": None,
        "reason": None,
        "method": None,
        "score": None,
    }
    decision |= {"risk_after": 0.00813, "rows_standing_for": 0, **decided}
    row: dict[str, Any] = {
        "source": "site",
        "source_group": "site",
        "split": None,
        "representative": 0,
    }
    row |= {"exact_count": 1, "repeated_words": 0}
    lines = otherwise(Explanation(row, config, decision=decision, risk={"risk": 0.2592}))
    assert [line for line in lines if "risk" in line] == [line for line in lines if told]
    assert told is None or told in lines[0]


@pytest.mark.parametrize(
    ("policy", "gone", "told"),
    [
        ({"rules": ("drop-copies",)}, False, "drop-risk, as the first of policy.rules, takes it"),
        ({"risk": 0.2}, False, "the rule drop-risk takes it with a policy.risk_share that reaches"),
        ({"risk": 0.005}, True, "it would stay with a higher policy.risk, or without the rule"),
        ({"risk_share": 0.5}, True, "it would stay with a smaller policy.risk_share, or without"),
    ],
)
def test_an_order_is_told_no_threshold(policy: dict[str, Any], gone: bool, told: str) -> None:
    """Beyond ten times the proxies the number that a rule compares is no probability."""
    config = Config(policy=PolicyConfig(**{"rules": ("drop-copies", "drop-risk"), **policy}))
    decision: dict[str, Any] = {"risk_after": 0.00813, "rows_standing_for": 0, "method": None}
    decision |= {"score": None, "rule": None, "reason": None, "action": "keep"}
    if gone:
        decision |= {"action": "drop", "rule": "drop-risk", "reason": "risk"}
    row: dict[str, Any] = {"source": "site", "source_group": "site", "split": None}
    row |= {"representative": 0, "exact_count": 1, "repeated_words": 0}
    forecast = {"risk": 0.2592, "extrapolated": True}
    (line,) = otherwise(Explanation(row, config, decision=decision, risk=forecast))
    assert line.startswith("Its risk is a place in an order and no probability")
    assert told in line
    assert "0." not in line


@pytest.mark.parametrize(
    ("exact", "jaccards", "told"),
    [
        (1, [0.94117], "It would stay with near.threshold above 0.9412."),
        (1, [0.94117, 0.83333], "It would stay with near.threshold above 0.9412."),
        (
            2,
            [0.83333],
            "With near.threshold above 0.8334 only one of the 2 exact copies of this text would",
        ),
        (1, [1.0], "No threshold keeps both: they have the same shingles."),
    ],
)
def test_a_near_copy_is_told_what_a_higher_threshold_does(
    exact: int, jaccards: list[float], told: str
) -> None:
    """Its closest text counts, not only the one that stays; of its exact copies one stays."""
    row = {"representative": 0, "exact_count": exact, "words": 60, "split": None}
    near = [{"jaccard": value, "words": 60, "split": None} for value in jaccards]
    decision: dict[str, Any] = {"action": "drop", "rule": "drop-copies", "reason": "near_copy"}
    decision |= {"method": "near", "score": jaccards[-1]}
    one = Explanation(row, Config(), decision=decision, keeper={"representative": 9}, near=near)
    assert otherwise(one)[0].startswith(told)


def test_rejected_rows_are_explained(tmp_path: Path) -> None:
    """By id or by place: the reason in words, and nothing about counts that it has not."""
    work = make_run(tmp_path, rejected=True)
    for name in ("nothing", "id:nothing", "a.parquet#2", "row:a.parquet#2"):
        text = explain(work.folder, name)
        assert "REJECTED: the text is null (null_text)" in text
        assert "a.parquet, row 2" in text
        assert "Counts" not in text


def test_texts_are_not_shown_when_excerpts_are_off(tmp_path: Path) -> None:
    """report.excerpts = false holds for explanations, on the terminal and as a page."""
    work = make_run(tmp_path, scored=True)
    manifest = json.loads((work.folder / "manifest.json").read_text())
    manifest["config"]["report"]["excerpts"] = False
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    told = explanations(work.folder, "near")
    for text in (in_words(told), explanation_page(told)):
        assert "REMOVED as a near copy" in text
        assert not re.search("word[0-9]", text)
        assert "report.excerpts is off" in text


def test_the_page_marks_what_differs(tmp_path: Path) -> None:
    """The word of the row is deleted, that of the keeper inserted; hostile ids are words."""
    work = make_run(tmp_path)
    page = explanation_page(explanations(work.folder, "near"))
    assert page.count("<del>other</del>") == 1
    assert page.count("<ins>word30</ins>") == 1
    page = explanation_page(explanations(work.folder, "hostile"))
    assert "<b>site" not in page
    assert "\u202e" not in page


def test_features_that_add_nothing_are_one_line(tmp_path: Path) -> None:
    """Those that three decimals do not show are named together, the others each with its number."""
    (one,) = explanations(make_run(tmp_path, scored=True).folder, "near")
    rows = [("log dose", 2.0, 1.5), ("log size", 0.0, 1.7), ("suffix order", -4.0, 0.0001)]
    one.features = [
        {"feature": name, "value": value, "coefficient": slope, "contribution": value * slope}
        for name, value, slope in rows
    ]
    text = in_words([one])
    assert "    log dose                    2.000 x 1.500 = +3.000\n" in text
    assert "    these add nothing: log size, suffix order" in text
    assert "1.700" not in text


def test_side_by_side_starts_near_the_first_difference() -> None:
    """Of long texts a bounded piece is compared; masks come first."""
    same = "same " * 100_000
    pieces, whole = side_by_side(f"{same}one a@b.example end", f"{same}two a@b.example end")
    assert not whole
    assert [(piece.own, piece.kept) for piece in pieces if not piece.same] == [("one", "two")]
    assert pieces[-1].own == "[e-mail] end"
    assert side_by_side("a b", "a c")[1]


def test_contributions_are_features_times_coefficients(tmp_path: Path) -> None:
    """A sequence seen 8 times in the corpus: the log of its dose times the fitted slope."""
    proxies = [
        {"proxy": name, "role": role, "parameters": size, "tokens": 4_000}
        for name, role, size in (
            ("p0", "ladder", 10),
            ("half-a", "half", 100),
            ("half-b", "half", 100),
            ("p1", "ladder", 200),
        )
    ]
    (tmp_path / "proxies.json").write_text(json.dumps({"proxies": proxies}))
    row = {field.name: _plain(field.type) for field in SEQUENCES}
    row |= {"row_key": 7, "start_byte": 5, "sequence_count": 8, "effective_count": 8.0}
    row |= {"suffix_count": 8, "weight": 1.0, "family": "f"}
    one = {field.name: _plain(field.type) for field in PROXY}
    row["proxies"] = [{**one, "proxy": of["proxy"], "log_p_z": -32.0} for of in proxies]
    pq.write_table(pa.Table.from_pylist([row], schema=SEQUENCES), tmp_path / "sequences.parquet")
    tables = {
        "sequences": [tmp_path / "sequences.parquet"],
        "models": [tmp_path / "proxies.json"],
    }
    facts = {
        "coefficients_unseen": {"log dose": 2.0, "log p per token": 3.0, "log size": 5.0},
        "target": {"parameters": 1000, "tokens": 20_000, "epochs": 1.0},
    }
    found = contributions(tables, facts, 7, {"basis": "unseen", "start_byte": 5})
    assert {one["feature"]: round(one["contribution"], 4) for one in found} == {
        "log dose": round(2 * math.log(8), 4),
        "log p per token": -3.0,
        "log size": 0.0,  # at the largest proxy: beyond it the slope is not this one
    }
    assert contributions(tables, facts, 7, {"basis": "seen", "start_byte": 5}) == found  # one law
    assert contributions(tables, {}, 7, {"basis": "seen", "start_byte": 5}) == []
    assert contributions(tables, facts, 8, {"basis": "unseen", "start_byte": 5}) == []


def _plain(kind: pa.DataType) -> object:
    if pa.types.is_string(kind):
        return ""
    return False if pa.types.is_boolean(kind) else 0


def test_a_changed_file_is_never_quoted_as_the_proof(tmp_path: Path) -> None:
    """A row put in front moves all others: nothing of the file is shown, and that is said."""
    work = make_run(tmp_path)
    path = Path(next(shard.path for shard in work.shards if shard.name == "a.parquet"))
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table.slice(1, 1), table]), path)
    told = explanations(work.folder, "near")
    assert (told[0].changed, told[0].keeper_text) == (("a.parquet",), None)
    text = in_words(told)
    assert "Changed since the scan\n  No longer the file that was scanned: a.parquet." in text
    assert "Beside what stays" not in text
    assert "Changed since the scan" in explanation_page(told)
    assert "Changed since" not in explain(work.folder, "twice")


def test_another_text_behind_the_same_size_and_date_is_not_quoted(tmp_path: Path) -> None:
    """The hash of the text decides, not what the file system says."""
    work = make_run(tmp_path)
    path = Path(next(shard.path for shard in work.shards if shard.name == "a.parquet"))
    table = pq.read_table(path)
    texts = ["another", *table["text"].to_pylist()[1:]]
    pq.write_table(table.set_column(1, "text", pa.array(texts)), path)
    size, mtime_ns, tail = identify(path)
    manifest = json.loads((work.folder / "manifest.json").read_text())
    for entry in manifest["corpus"]["shards"]:
        if entry["name"] == "a.parquet":
            entry.update(bytes=size, mtime_ns=mtime_ns, tail_digest=tail)
    (work.folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    told = explanations(work.folder, "long")
    assert (told[0].changed, told[0].text) == (("a.parquet",), None)


@pytest.mark.parametrize("table", ["counts", "pairs", "spans", "decisions", "documents"])
def test_an_exchanged_table_is_refused_by_name(tmp_path: Path, table: str) -> None:
    """A whole file of the same schema has good checksums; its digest tells it from ours."""
    folder = make_run(tmp_path).folder
    path = folder / table / "all.parquet"
    found = pq.read_table(path)
    pq.write_table(found.slice(1), path)
    with pytest.raises(IntegrityError, match="damaged") as refused:
        explain(folder, "near")
    assert refused.value.where == str(path)


def test_a_row_tells_its_signals() -> None:
    """Counts and text of its riskiest sequence, what each proxy says, what probes measured."""
    sequence = {"start_token": 128, "sequence_count": 8, "suffix_count": 9, "rarest_count": 2}
    surface = {field.name: 0.0 for field in SURFACE} | {"template_share": 0.25, "token_bits": 11.0}
    proxy = {"seen": 4, "memorized": False, "run_length": 7, "log_p_z": -21.5, "margin": -1.25}
    numbers = {"start_token": 128, "proxy": "p3", "seen": 4, "signal": "approximate"}
    one = Explanation(
        {},
        Config(),
        sequence={
            **sequence,
            **surface,
            "zlib_bits_per_byte": 4.0,
            "suffix_entropy_bits": 3.5,
            "gap_bits": 12.5,
            "proxies": [{"proxy": "p3", **proxy}, {"proxy": "p0", **proxy, "seen": 0}],
        },
        probes=[
            {**numbers, "name": "edit_distance", "value": 3.0},
            {**numbers, "name": "bleu", "value": 0.81},
        ],
    )
    assert signal_lines(one) == [
        (
            "Riskiest sequence, from token 128: its words occur 8 times, those of its last 32 "
            "tokens 9 times, the rarest 8 of these twice."
        ),
        (
            "Its text: 25% of the suffix's tokens that copying from before guesses; 11.0 bits a "
            "token, 0.0 the rarest; 3.5 bits of entropy among its suffix's tokens; 4.0 bits a byte "
            "compressed."
        ),
        "Seen by one half only, it is 12.5 bits likelier there.",
        "Proxy p3 saw it 4 times: 7 tokens right, log p -21.50 nats, least margin -1.25.",
        "Proxy p0 never saw it: 7 tokens right, log p -21.50 nats, least margin -1.25.",
        "Probe approximate of p3, from token 128: edit distance 3, bleu 0.81.",
    ]
    assert signal_lines(Explanation({}, Config())) == []
    one.config = Config.model_validate({"proxy": {"models": ["somewhere"]}})
    assert signal_lines(one)[3].startswith("Proxy p3 may have seen it: 7 tokens right")


def test_a_kept_row_tells_where_removed_copies_differ(tmp_path, make_corpus, scan) -> None:
    """Copies of another label are told by column; texts and ids are no difference."""
    words = " ".join(f"w{n}" for n in range(60))
    rows = [{"id": f"d{n}", "text": words, "label": int(n > 3), "by": "x"} for n in range(6)]
    files = {"a.jsonl": rows[:4], "b.jsonl": [*rows[4:], {"id": "e", "text": f"{words} more"}]}
    done = scan(make_corpus(tmp_path / "c", files), tmp_path / "run", "near.keep=earliest")
    text = explain(done.folder, "d0")
    assert "It stays in the place of 6 removed rows." in text
    assert (
        "Their other columns are not all as its own: of 6 rows compared, 3 in label, 1 in by "
        "differ." in " ".join(text.split())
    )
    files = {
        "a.jsonl": [{"id": "d", "text": words, "label": 1}, {"id": "e", "text": words, "label": 1}]
    }
    done = scan(make_corpus(tmp_path / "same", files), tmp_path / "same-run")
    assert "not all as its own" not in explain(done.folder, "d")


def test_pairs_that_both_stay_are_explained(tmp_path, make_corpus, scan) -> None:
    """Other symbols and other splits keep near copies, and the proof tells symbols that agree."""
    long = " ".join(f"w{n}" for n in range(60))
    files = {
        "train.jsonl": [
            {"id": "plus", "text": "What is 3 + 2, then?"},
            {"id": "minus", "text": "What is 3 - 2, then?"},
            {"id": "again", "text": "What is 3 + 2 then"},
            {"id": "long", "text": long},
        ],
        "test.jsonl": [{"id": "shared", "text": f"{long} more"}],
    }
    run = scan(make_corpus(tmp_path / "c", files), tmp_path / "run").folder
    told = {name: " ".join(explain(run, name).split()) for name in ("minus", "again", "long")}
    assert (
        "must agree in their symbols too: - here, + there (near.symbol_words = 50)" in told["minus"]
    )
    assert "both have the same symbols: +" in told["again"]
    assert "it is in the split test, so neither goes (near.across_splits)" in told["long"]


def test_a_planned_order_is_said() -> None:
    """When a text is seen last, and how far apart its copies are; nothing without an order."""
    risk = {
        "risk": 0.5, "risk_low": 0.2, "risk_high": 0.8, "kind": "recited", "expected_tokens": 16.0,
        "scored_share": 1.0, "extrapolated": False, "basis": "seen", "last_exposure": 0.25,
        "spacing": 0.125,
    }  # fmt: skip
    one = Explanation({}, Config(), scored=True, risk=risk)
    told = " ".join(risk_lines(one))
    assert "seen last with 25.0% of the epoch to come; its copies are 12.5% apart" in told
    one.risk = {**risk, "spacing": None}
    assert "apart" not in " ".join(risk_lines(one))
    one.risk = {**risk, "last_exposure": None}
    assert "epoch" not in " ".join(risk_lines(one))
