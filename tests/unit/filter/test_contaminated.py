"""Rows that hold an item of an evaluation set, by each rule, and what becomes of them."""

import dataclasses
import json
import shutil
from importlib.resources import files

import jsonschema
import pyarrow.parquet as pq
import pytest

from flows.runners import LocalMapper
from flows.summary import summarize
from pipeline import run
from pipeline.config.load import load_config
from pipeline.dry_run import preview
from pipeline.engine.manifest import load_manifest
from pipeline.errors import ConfigError, InputError, IntegrityError
from pipeline.filter import kept_out
from pipeline.inspect.explain import explain

QUESTION = (
    "which of the following rivers flows through seven states before it reaches the northern sea "
    "and was named after a forgotten king of the eastern hills"
)
ANSWER = "the long river of the quiet king"
SHORT = "how many moons has the ninth planet of that system"
ITEMS = [
    {"question": QUESTION, "answer": ANSWER},
    {"question": SHORT, "answer": "yes"},
    {"question": "who", "answer": "a lonely answer of more than eight words that stands by itself"},
]
FILLER = " ".join(f"filler{n}" for n in range(30))
WORDS = QUESTION.split()
ROWS = {
    "clean": f"{FILLER} yes yes which of the following rivers flows and so on {ANSWER[:20]}",
    "verbatim": f"{FILLER} {QUESTION} {ANSWER} {FILLER} yes",
    "upper": f"{FILLER} {QUESTION.upper().replace(' ', chr(10))}!",
    "half": f"{FILLER} {' '.join(WORDS[:13])} {FILLER} again",
    "changed": f"{FILLER} {' '.join([*WORDS[:11], 'other', *WORDS[12:23]])}",
    "near": " ".join([*WORDS[:12], *WORDS[13:]]),
    "short": f"{FILLER} {SHORT} yes {FILLER} and more",
    "answer": f"{FILLER} {ITEMS[2]['answer']} indeed {FILLER} and others",
    "copy": f"{FILLER} {' '.join(WORDS[:13])} {FILLER} again",
    "near-copy": f"{FILLER} {' '.join(WORDS[:12])} {FILLER} again",
}
EXPECTED = {
    "verbatim": [("question", "run", "all"), ("answer", "beside", "all")],
    "upper": [("question", "run", "all")],
    "half": [("question", "run", "part")],
    "changed": [("question", "contained", "most")],
    "near": [("question", "run", "most")],
    "short": [("question", "whole", "all"), ("answer", "beside", "all")],
    "answer": [("answer", "whole", "all")],
    "copy": [("question", "run", "part")],
}


@pytest.fixture(scope="module")
def first(tmp_path_factory, make_corpus, scan):
    """Return a run that was filtered with the items kept out."""
    folder = tmp_path_factory.mktemp("contaminated")
    rows = [{"id": name, "text": text} for name, text in ROWS.items()]
    corpus = make_corpus(folder / "corpus", {"a.jsonl": rows})
    make_corpus(folder / "items", {"test.jsonl": ITEMS})
    return scan(corpus, folder / "run", f"decontaminate.files={folder / 'items'}")


@pytest.fixture
def done(first, tmp_path):
    """Give a copy of that run, with a copy of the items."""
    shutil.copytree(first.folder.parent / "items", tmp_path / "items")
    folder = shutil.copytree(first.folder, tmp_path / "run")
    return dataclasses.replace(first, folder=folder)


def refiltered(done, *settings):
    """Filter a run again, with settings over its own."""
    own = f"decontaminate.files={done.folder.parent / 'items'}"
    config = load_config(settings=[own, *settings], base=done.manifest["config"])
    with run.session(done.folder, config, LocalMapper(2)) as session:
        run.filter_rows(session)
    return dataclasses.replace(done, performed=[])


def fates(done):
    """Return action and reason of each row, by its name."""
    names = dict(done.rows("counts", "row_key", "doc_id"))
    decided = done.rows("decisions", "row_key", "action", "reason")
    return {names[key]: (action, reason) for key, action, reason in decided}


def test_each_rule_finds_what_it_says(done):
    """Runs, whole short fields, changed words; "yes" alone is nothing, beside its question told."""
    names = dict(done.rows("counts", "row_key", "doc_id"))
    found: dict[str, list[tuple[str, ...]]] = {}
    for key, *what in done.rows("contaminated", "row_key", "field", "rule", "certainty"):
        found.setdefault(names[key], []).append(tuple(what))
    assert found == EXPECTED
    facts = done.manifest["outputs"]["contaminated/all"]["facts"]
    assert (facts["rows"], facts["actions"]) == (8, {"drop": 8})
    answers, questions = facts["sets"]
    assert (questions["fields"], questions["found"], questions["rows"]) == (3, 2, 7)
    assert (questions["run"], questions["whole"], questions["contained"]) == (5, 1, 1)
    assert (answers["fields"], answers["found"], answers["beside"]) == (3, 3, 2)


def test_rows_go_with_the_item_that_proves_it(done):
    """Each removed row names file, row, field and words; a clean row needs no removed keeper."""
    told = fates(done)
    assert {name for name, fate in told.items() if fate == ("drop", "contaminated")} == {*EXPECTED}
    assert told["near-copy"] == told["clean"] == ("keep", None)
    removed = pq.read_table(done.folder / "removed" / "a.parquet").to_pylist()
    kept = pq.read_table(done.folder / "kept" / "a.parquet").to_pylist()
    assert {row["id"] for row in kept + removed} == {*ROWS}
    item = {row["id"]: row["rote"] for row in removed}["changed"]
    names = ("item_file", "item_row", "item_field", "item_words", "item_matched", "keeper")
    assert [item[name] for name in names] == ["test.jsonl", 0, "question", 26, 22, None]
    assert all(row["rote"]["item_file"] is None for row in kept)


def test_other_rules_and_actions(done):
    """A share asks for more, flags keep rows, cuts take an item's words; off leaves no trace."""
    share = refiltered(done, "decontaminate.share=0.8", "decontaminate.containment=0")
    gone = {name for name, (action, _) in fates(share).items() if action == "drop"}
    assert gone == {"verbatim", "upper", "short", "answer", "copy", "near-copy"}
    flagged = refiltered(done, "decontaminate.action=flag", "decontaminate.share=0")
    assert fates(flagged)["half"] == ("keep", None)
    kept = pq.read_table(done.folder / "kept" / "a.parquet").to_pylist()
    assert {row["id"]: row["rote"]["item_matched"] for row in kept}["half"] == 13
    cut = refiltered(done, "decontaminate.action=cut", "decontaminate.share=0")
    told = fates(cut)
    assert told["near"] == ("drop", "contaminated")
    assert told["verbatim"] == ("cut", "item_cut")
    kept = {
        row["id"]: row["text"] for row in pq.read_table(done.folder / "kept/a.parquet").to_pylist()
    }
    assert kept["verbatim"] == f"{FILLER}  {ANSWER} {FILLER} yes"
    spans = pq.read_table(done.folder / "removed/spans/a.parquet").to_pylist()
    assert QUESTION.encode() in [span["text"] for span in spans]
    off = refiltered(done, "decontaminate.files=[]", "decontaminate.action=drop")
    assert "contaminated/all" not in load_manifest(done.folder)["outputs"]
    assert fates(off)["half"] == ("keep", None)
    assert not (done.folder / "contaminated").exists()


def test_an_exempt_row_stays_and_is_told(done):
    """A source that never loses a row keeps it, with the item in its struct."""
    exempt = refiltered(done, 'policy.exempt=["(top folder)"]')
    assert {action for action, _ in fates(exempt).values()} == {"keep"}
    kept = pq.read_table(done.folder / "kept" / "a.parquet").to_pylist()
    assert sum(row["rote"]["item_file"] is not None for row in kept) == 8


def test_the_report_and_an_explanation_name_the_items(done):
    """Items by set, the most frequent ones, and for a row each field with its words and place."""
    with run.session(done.folder, load_config(base=done.manifest["config"]), LocalMapper(1)) as one:
        run.write_report(one)
    data = json.loads((done.folder / "report" / "report.json").read_text())
    jsonschema.validate(data, json.loads((files("schemas") / "report.json").read_text()))
    told = data["contamination"]
    assert (told["rows"], told["action"], len(told["sets"])) == (8, "drop", 2)
    assert told["items"][0]["documents"] == 6
    assert str(done.folder.parent) not in json.dumps(data)
    page = (done.folder / "report" / "index.html").read_text()
    assert "Evaluation items in the corpus" in page
    assert QUESTION not in page.split('id="contamination"')[1].split("</section>")[0]
    said = explain(done.folder, "changed")
    assert "REMOVED as one that holds an evaluation item (rule decontaminate)" in said
    assert "row 0 of test.jsonl: 22 of 26 words, 11 in one run, from byte 260 on (contained)" in (
        " ".join(said.split())
    )
    assert "with an evaluation item" in summarize(done.folder)[0]
    previewed = preview(done.folder, load_config(base=done.manifest["config"]))
    assert previewed is not None
    assert previewed["reasons"] == {"contaminated": 8, "kept": 2}


def test_a_changed_item_is_looked_for_anew(done, make_corpus):
    """The bytes of evaluation files are in the fingerprint; a missing one is refused at once."""
    items = done.folder.parent / "items"
    before = (items / "test.jsonl").read_bytes()
    make_corpus(items, {"test.jsonl": [ITEMS[1]]})
    assert fates(refiltered(done))["half"] == ("keep", None)
    (items / "test.jsonl").unlink()
    with pytest.raises(InputError, match="corpus folder is empty"):
        refiltered(done)
    (items / "test.jsonl").write_bytes(before)
    assert fates(refiltered(done))["half"] == ("drop", "contaminated")


def test_a_removal_without_its_item_stops_the_filter(done, monkeypatch):
    """The audit in SQL holds every removal against the rule that found it."""
    keys = {name: key for key, name in done.rows("counts", "row_key", "doc_id")}
    assert fates(done)["half"] == ("drop", "contaminated")
    honest = kept_out.kept_out

    def lying(work):
        for rule, reason, found in honest(work):
            yield rule, reason, found[found != keys["half"]]

    monkeypatch.setattr(kept_out, "kept_out", lying)
    with pytest.raises(IntegrityError, match="stays with one"):
        refiltered(done, "near.keep=earliest")


def test_settings_that_do_not_fit_are_refused():
    """Cutting items and cutting spans at once; a minimum above the words of a run."""
    with pytest.raises(ConfigError, match="exclude each other"):
        load_config(
            settings=[
                "decontaminate.files=a",
                "decontaminate.action=cut",
                'policy.rules=["cut-spans"]',
            ]
        )
    with pytest.raises(ConfigError, match="short_words"):
        load_config(settings=["decontaminate.short_words=20"])
