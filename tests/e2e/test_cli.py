"""Bad input, bad folders and bad commands: an exit code and one clear message."""

import json
import shutil
from importlib.metadata import version

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.engine.manifest import manifest_bytes
from pipeline.run import STAGES
from tests.e2e import corpora
from tests.e2e.command import files, fresh, manifest, rote

USUAL = [name for name, stage in STAGES.items() if stage.wanted(Config())]
OK, FAILED, USAGE = 0, 1, 2
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture
def corpus(tmp_path):
    """Return a folder with one good shard."""
    corpora.write(tmp_path / "corpus" / "good.jsonl", [{"id": "a", "text": TEXT}])
    return tmp_path / "corpus"


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Return a folder with a corpus of one good shard, and a scanned run of it."""
    folder = tmp_path_factory.mktemp("scanned")
    corpora.write(folder / "corpus" / "good.jsonl", [{"id": "a", "text": TEXT}])
    assert rote("scan", folder / "corpus", "--out", folder / "run", "--local").code == OK
    return folder


@pytest.fixture
def run(tmp_path, scanned):
    """Return a copy of that run."""
    return shutil.copytree(scanned / "run", tmp_path / "run")


def assert_refused(ended, code, *said):
    """Require an exit code and one message with its four parts that says all of this."""
    assert ended.code == code, ended.err
    message = ended.err[ended.err.index("rote: ") :]
    assert ended.err.count("rote: ") == 1
    assert "Traceback" not in ended.err
    assert "\n  where: " in message
    assert "\n  found: " in message or "\n  expected: " in message
    assert "\n  to do: " in message
    assert [text for text in said if text not in message] == []


def truncated(folder):
    """Write a Parquet file and cut its end off."""
    path = folder / "cut.parquet"
    pq.write_table(pa.table({"text": [TEXT] * 100}), path)
    path.write_bytes(path.read_bytes()[:-100])


BAD_FILES = {
    "truncated-parquet": (truncated, ["A file cannot be read.", "cut.parquet"]),
    "missing-text-column": (
        lambda folder: pq.write_table(pa.table({"q": ["x"], "a": ["y"]}), folder / "qa.parquet"),
        [
            "No text column was found.",
            "qa.parquet",
            "q: string, a: string",
            "--set input.text=NAME",
        ],
    ),
    "text-of-a-wrong-type": (
        lambda folder: pq.write_table(pa.table({"text": [1.5]}), folder / "t.parquet"),
        ["A column has a type that cannot be read as asked.", "column text", "double"],
    ),
    "user-column-named-rote": (
        lambda folder: pq.write_table(pa.table({"text": ["x"], "rote": [1]}), folder / "r.parquet"),
        [
            "The corpus has a column of the name that rote adds.",
            "r.parquet",
            "--set emit.column=NAME",
        ],
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_used_stops_before_any_stage(tmp_path, corpus, name):
    """The file, what is wrong with it and what to do are said; nothing was scanned."""
    make, said = BAD_FILES[name]
    make(corpus)
    ended = rote("run", corpus, "--out", tmp_path / "run", "--local")
    assert_refused(ended, FAILED, *said)
    assert manifest(tmp_path / "run")["outputs"] == {}
    assert ended.performed == []


def test_all_bad_files_are_named_at_once(tmp_path, corpus):
    """Nobody mends ten files in ten attempts."""
    for make, _ in BAD_FILES.values():
        make(corpus)
    ended = rote("scan", corpus, "--out", tmp_path / "run", "--local")
    assert ended.code == FAILED
    assert "rote: 4 of 5 files cannot be used; nothing was scanned." in ended.err
    assert " and 3 more\n" in ended.err[ended.err.index("\n  where: ") :].split("found:")[0]
    names = ("cut.parquet: ", "qa.parquet: ", "t.parquet: ", "r.parquet: ")
    assert [name for name in names if name not in ended.err] == []
    assert "--skip-bad-files" in ended.err


def test_bad_files_are_left_out_when_asked(tmp_path, corpus):
    """With --skip-bad-files the rest is scanned; what was left out is said and recorded."""
    truncated(corpus)
    ended = rote("scan", corpus, "--out", tmp_path / "run", "--local", "--skip-bad-files")
    assert ended.code == OK
    assert "left out: cut.parquet: A file cannot be read." in ended.err
    assert manifest(tmp_path / "run")["corpus"]["skipped"] == {
        "cut.parquet": "A file cannot be read."
    }
    assert ended.out.startswith("1 shards, 1 rows\n")


def test_another_name_for_the_added_column(tmp_path, corpus):
    """A user column named rote comes through when the added one is called otherwise."""
    BAD_FILES["user-column-named-rote"][0](corpus)
    options = ("--local", "--set=emit.column=about")
    assert rote("scan", corpus, "--out", tmp_path / "run", *options).code == OK
    assert rote("filter", tmp_path / "run", "--local").code == OK
    kept = pq.read_table(tmp_path / "run/kept/r.parquet")
    assert kept.column_names[:2] == ["text", "rote"]
    assert kept.column_names[-1] == "about"
    assert kept["rote"].to_pylist() == [1]


def test_bad_rows_are_rejected_with_reasons_and_good_ones_go_on(tmp_path):
    """Null, empty and invalid texts go to rejected/; equal ids are counted and no alarm."""
    rows = [
        {"id": "same", "text": TEXT},
        {"id": "same", "text": f"{TEXT} {TEXT[::-1]}"},
        {"id": "null", "text": None},
        {"id": "empty", "text": ""},
        b'{"id": "bytes", "text": "\xff\xfe"}',
        {"id": "none"},
    ]
    corpora.write(tmp_path / "corpus" / "a.jsonl", rows)
    pq.write_table(pa.table({"id": ["p", "q"], "text": [None, ""]}), tmp_path / "corpus/b.parquet")
    run = tmp_path / "run"
    most = ("--set", "input.most_rejected=1")
    ended = rote("scan", tmp_path / "corpus", "--out", run, "--local", *most)
    assert ended.code == OK
    assert "rejected          6  2 empty_text, 1 invalid_utf8, 3 null_text" in ended.out
    assert rote("filter", run, "--local").code == OK
    reported = rote("report", run, "--local", "--strict")
    assert reported.code == OK  # a shard of two rows is no alarm by itself
    assert "ALARM" not in reported.out
    notes = json.loads((run / "report/report.json").read_text())["notes"]
    assert [note["numbers"] for note in notes] == [{"ids": 1, "documents": 2}]
    reasons = pq.read_table(run / "rejected/a.parquet").select(["row", "reason"]).to_pylist()
    assert [(row["row"], row["reason"]) for row in reasons] == [
        (2, "null_text"),
        (3, "empty_text"),
        (4, "invalid_utf8"),
        (5, "null_text"),
    ]
    assert pq.read_table(run / "kept/a.parquet")["id"].to_pylist() == ["same", "same"]


def test_an_empty_folder_is_refused(tmp_path):
    """There is nothing to scan."""
    (tmp_path / "corpus").mkdir()
    ended = rote("run", tmp_path / "corpus", "--out", tmp_path / "run", "--local")
    assert_refused(ended, FAILED, "The corpus folder is empty.", f"where: {tmp_path}/corpus")


def test_a_folder_without_readable_files_is_refused(tmp_path):
    """Files of unknown kinds are no corpus, and the known ones are listed."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "photo.jpeg").write_bytes(b"\xff\xd8")
    ended = rote("run", tmp_path / "corpus", "--out", tmp_path / "run", "--local")
    assert_refused(
        ended, FAILED, "The corpus holds no file that rote reads.", "1 other entries", ".parquet"
    )


def test_a_corpus_that_does_not_exist_is_refused(tmp_path):
    """A path with a slip of the pen is named."""
    ended = rote("scan", tmp_path / "nowhere", "--out", tmp_path / "run", "--local")
    assert_refused(ended, FAILED, "The corpus does not exist.", "nowhere")


def test_an_output_folder_of_others_is_not_touched(tmp_path, corpus):
    """A folder with anything in it that is not ours stays as it is, a file too."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    (tmp_path / "home" / "kept").mkdir()
    ended = rote("run", corpus, "--out", tmp_path / "home", "--local")
    assert_refused(
        ended, FAILED, "files that are not of rote; nothing was touched", "kept, letters.txt"
    )
    assert files(tmp_path / "home").keys() == {"letters.txt"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text('{"name": "a web page"}')
    ended = rote("run", corpus, "--out", tmp_path / "other", "--local")
    assert_refused(ended, FAILED, "of another version, or not of rote")
    assert files(tmp_path / "other").keys() == {"manifest.json"}
    ended = rote("run", corpus, "--out", corpus.parent / "corpus/good.jsonl", "--local")
    assert ended.code == USAGE


@pytest.mark.parametrize("out", ["corpus/run", "corpus", "."])
def test_output_and_input_inside_one_another_are_refused(tmp_path, corpus, out):
    """Results among shards would be scanned next time; shards among results might be swept."""
    ended = rote("scan", corpus, "--out", tmp_path / out, "--local")
    assert_refused(
        ended, USAGE, "The output folder and the corpus lie inside one another.", f"corpus {corpus}"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["corpus", "good.jsonl"]


USAGE_ERRORS = {
    "unknown-key": (["--set=near.treshold=0.9"], "where: near.treshold\n"),
    "out-of-range": (["--set=near.threshold=1.5"], "where: near.threshold\n"),
    "no-value": (["--set=near.threshold"], "A setting is not of the form key=value."),
    "no-such-file": (["-c", "missing.toml"], "The configuration file cannot be read."),
    "section-as-value": (["--set=near=3"], "where: near\n"),
}


@pytest.mark.parametrize("name", USAGE_ERRORS)
def test_a_setting_that_cannot_be_is_usage(tmp_path, corpus, name):
    """The key is named, and no folder was made."""
    options, said = USAGE_ERRORS[name]
    ended = rote("scan", corpus, "--out", tmp_path / "run", "--local", *options)
    assert_refused(ended, USAGE, said)
    assert not (tmp_path / "run").exists()


TARGETS_REFUSED = {
    "no-size": (["--target", "huge"], ["This is no size of a model.", "--target 'huge'", "8b:15t"]),
    "three-numbers": (["--target", "8b:15T:3"], ["This is no size of a model."]),
    "given-twice": (
        ["--target", "8b", "--set", "target.parameters=7"],
        ["The target is given twice.", "--set target.parameters=7"],
    ),
}


@pytest.mark.parametrize("name", TARGETS_REFUSED)
def test_a_target_that_cannot_be_is_usage(tmp_path, corpus, run, name):
    """Of `rote run` and `rote score` alike, before anything is done."""
    options, said = TARGETS_REFUSED[name]
    ended = rote("run", corpus, "--out", tmp_path / "new", "--local", *options)
    assert_refused(ended, USAGE, *said)
    assert not (tmp_path / "new").exists()
    assert_refused(rote("score", run, "--local", *options), USAGE, *said)


def test_a_target_is_named_in_one_word(tmp_path, corpus, run):
    """It becomes two settings of the run folder; `rote scan`, which has no target, takes none."""
    assert rote("score", run, "--local", "--target", "pythia-12b").code == OK
    target = manifest(run)["config"]["target"]
    assert (target["total_parameters"], target["tokens"]) == (12_000_000_000, 300_000_000_000)
    assert rote("score", run, "--local", "--target", "8b:15T").code == OK
    target = manifest(run)["config"]["target"]
    assert (target["total_parameters"], target["tokens"]) == (8_000_000_000, 15_000_000_000_000)
    refused = rote("scan", corpus, "--out", tmp_path / "new", "--local", "--target", "8b")
    assert_refused(refused, USAGE, "The command line is not valid.", "--target")


def test_a_scored_run_without_a_forecast_says_so(run):
    """In the terminal, at once and after the report; a strict run fails; both pages say it."""
    scored = rote("score", run, "--local", "--strict")
    assert scored.code == FAILED
    assert scored.out.count("ALARM  There is no forecast: no family outside") == 1
    assert "What would help: more documents of at least 64 tokens" in scored.out
    assert rote("filter", run, "--local").code == OK
    told = rote("report", run, "--local", "--strict")
    assert told.code == FAILED
    assert told.out.count("ALARM  There is no forecast: no family outside") == 1
    for name in ("summary.md", "index.html"):
        assert "There is no forecast: no family" in (run / "report" / name).read_text()


def test_a_file_that_is_not_toml_is_usage(tmp_path, corpus):
    """The file and the line are named."""
    (tmp_path / "bad.toml").write_text("[near]\nthreshold = = 1\n")
    ended = rote("scan", corpus, "--out", tmp_path / "run", "--local", "-c", tmp_path / "bad.toml")
    assert_refused(ended, USAGE, "The configuration file is not TOML.", "bad.toml", "line 2")


def test_nothing_is_trained_unless_wanted(tmp_path, corpus):
    """Scan and filter in one command, then a report as well; what needs a forecast is refused."""
    run = tmp_path / "run"
    asked = ("--out", run)
    refused = rote("run", corpus, *asked, "--no-score", "--set=mitigation.memfree_n=8")
    assert_refused(refused, USAGE, "mitigation.memfree_n", "needs a forecast")
    assert rote("scan", corpus, *asked, "--filter").code == OK
    assert (run / "kept" / "_SUCCESS").exists()
    assert not (run / "report").exists()
    plan = rote("run", corpus, *asked, "--no-score", "--dry-run").out
    assert "report       1 of 1 units to do" in plan
    assert ": report " in plan  # what is done already takes no time and no disk
    assert "disk:" not in plan
    assert "sequences" not in plan
    ended = rote("run", corpus, *asked, "--no-score")
    assert ended.performed == ["report"]
    assert not (run / "models").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["scna"],
        ["scan"],
        ["scan", "x"],
        ["filter"],
        ["report", "x", "--fast"],
        ["filter", "x", "--local", "--prefect"],
    ],
)
def test_a_wrong_command_line_is_usage(arguments):
    """What is wrong is said in the same form as everything else, with where the help is."""
    ended = rote(*arguments)
    assert_refused(ended, USAGE, "The command line is not valid.", "--help")


def test_what_was_probably_meant_is_said(tmp_path, corpus):
    """A slip of the pen in a command, an option or a setting gets the name that is near it."""
    assert 'Did you mean "scan"?' in rote("scna").err
    assert "Did you mean --dry-run?" in rote("run", corpus, "--out", "r", "--dry-rnu").err
    ended = rote("scan", corpus, "--out", tmp_path / "run", "--set=near.treshold=0.9")
    assert "did you mean near.threshold? rote config lists all" in ended.err
    assert "did you mean mitigation? rote" in rote("config", "--set", "mitigations.x=1").err


def test_no_command_is_usage_with_the_help():
    """Whoever types the name alone sees the commands, and no success."""
    ended = rote()
    assert ended.code == USAGE
    assert "The four acts" in ended.out


def test_the_version_is_that_of_the_package():
    """--version prints name and version, and nothing else."""
    ended = rote("--version")
    assert (ended.code, ended.out) == (OK, f"rote {version('rote')}\n")


def test_config_prints_a_file_that_loads_as_it_stands(tmp_path, run):
    """Every setting is there with its value; one that was changed says by whom."""
    plain = rote("config")
    (tmp_path / "all.toml").write_text(plain.out)
    assert load_config(tmp_path / "all.toml") == load_config()
    assert rote("config", "-c", tmp_path / "all.toml").out == plain.out
    rote("filter", run, "--local", "--set=near.threshold=0.9")
    changed = rote("config", run, "--set", "near.keep=earliest").out.replace("\n# ", " ")
    assert f"(from {run}; default 0.8)\nthreshold = 0.9 " in changed
    assert '(from --set near.keep=earliest; default "longest")\nkeep = "earliest" ' in changed


def test_config_prints_settings_by_source_as_toml(tmp_path):
    """A table within a table loads again, whatever the source is called."""
    setting = 'policy.sources={"a forum.x"={risk=0.2}}'
    (tmp_path / "own.toml").write_text(rote("config", "--set", setting).out)
    assert load_config(tmp_path / "own.toml") == load_config(settings=[setting])


def test_a_report_names_the_files_that_the_last_scan_left_out(run, corpus):
    """A file that cannot be read comes and goes with no other change: the report follows."""
    options = ("--out", run, "--local", "--skip-bad-files")
    assert rote("filter", run, "--local").code == OK
    told = []
    for left_out in (False, True, False):
        bad = corpus / "bad.parquet"
        bad.write_bytes(b"PAR1garbage") if left_out else bad.unlink(missing_ok=True)
        assert rote("scan", corpus, *options).code == OK
        assert rote("report", run, "--local").code == OK
        told.append("bad.parquet" in (run / "report/report.json").read_text())
    assert told == [False, True, False]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell):
    """The script for each shell names the commands and their options."""
    ended = rote("completion", shell)
    assert ended.code == OK
    assert [
        name for name in ("backtest", "dry-run", "skip-bad-files") if name not in ended.out
    ] == []


@pytest.mark.parametrize("command", ["score", "filter", "report", "explain"])
def test_a_folder_that_is_no_run_is_refused(tmp_path, command):
    """All that work on a run say when there is none, and make nothing."""
    (tmp_path / "folder").mkdir()
    options = ("some-id",) if command == "explain" else ("--local",)
    for place in ("folder", "missing"):
        ended = rote(command, tmp_path / place, *options)
        assert_refused(ended, FAILED, "This is not a run folder.", f"where: {tmp_path / place}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_unfinished_scan_is_not_filtered(run):
    """Filter, score and report name the stages that are missing."""
    unfinished = manifest(run)
    for output in ("pairs/all", "counts/all"):
        del unfinished["outputs"][output]
    (run / "manifest.json").write_bytes(manifest_bytes(unfinished))
    for command in ("filter", "score", "report"):
        ended = rote(command, run, "--local")
        assert_refused(
            ended, USAGE, "cannot be used for", "not current: pairs, families, counts", "rote scan"
        )


def test_settings_that_are_refused_do_not_stay(run):
    """A filter that asks for another scan is refused, and the next one without that wish works."""
    ended = rote("filter", run, "--local", "--set=near.count_threshold=0.7")
    assert_refused(ended, USAGE, "not current: pairs, families, counts")
    assert rote("filter", run, "--local").code == OK


def test_report_before_filter_is_refused(run):
    """There are no decisions to report on yet."""
    ended = rote("report", run, "--local")
    assert_refused(ended, USAGE, "There is nothing to report on yet.", "rote filter")


def test_filter_and_report_work_on_a_run_that_was_never_scored(run):
    """Risk is null in every row and the report says that there is no forecast."""
    assert rote("filter", run, "--local").code == OK
    ended = rote("report", run, "--local")
    assert ended.code == OK
    assert f"report: {run}/report/index.html" in ended.out
    added = pq.read_table(run / "kept/good.parquet")["rote"].to_pylist()[0]
    assert (added["risk"], added["risk_low"], added["risk_high"]) == (None, None, None)
    assert not [name for name in manifest(run)["outputs"] if name.startswith(("sequences", "risk"))]


def test_an_unknown_document_cannot_be_explained(run):
    """The id that was asked for is repeated."""
    assert rote("filter", run, "--local").code == OK
    assert_refused(rote("explain", run, "nobody"), USAGE, "nobody")
    ended = rote("explain", run, "a")
    assert ended.code == OK
    assert "good.jsonl" in ended.out


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path, scanned, run):
    """What is due is said for a new folder and for a finished one."""
    corpus, before = scanned / "corpus", files(run)
    new = rote("run", corpus, "--out", tmp_path / "new", "--local", "--dry-run")
    assert new.code == OK
    assert "  sketch       1 of 1 units to do\n" in new.out
    assert new.out.count("units to do") == len(USUAL)
    assert not (tmp_path / "new").exists()
    again = rote("run", corpus, "--out", run, "--local", "--dry-run")
    assert "  counts       already done\n  sequences    1 of 1 units to do\n" in again.out
    later = rote("filter", run, "--dry-run")
    assert (later.code, later.out.count("units to do")) == (OK, 5)
    assert ": filter " in later.out
    assert "disk: about" in later.out
    assert files(run) == before


def test_strict_fails_on_an_alarm(tmp_path):
    """A source group that loses more than half is an alarm: always said, an error when strict."""
    prose = corpora.Prose(2)
    text = prose.text(60)
    rows = [{"source": "copied", "text": text if row < 40 else prose.text(60)} for row in range(60)]
    corpora.write(tmp_path / "corpus/a.jsonl", rows)
    run = tmp_path / "run"
    assert rote("scan", tmp_path / "corpus", "--out", run, "--local", "--strict").code == OK
    assert rote("filter", run, "--local").code == OK
    lax, strict = (rote("report", run, "--local", *options) for options in ((), ("--strict",)))
    assert (lax.code, strict.code) == (OK, FAILED)
    said = "ALARM  Source group copied loses 39 of its 60 documents (65.0%): more than half.\n"
    assert said in lax.out
    assert said in strict.out


def test_a_fresh_interpreter_says_the_same_as_a_fork(tmp_path, corpus):
    """The other tests use forks of one process; a command started as a user does behaves alike."""
    truncated(corpus)
    arguments = ("scan", corpus, "--out", tmp_path / "run", "--local")
    one, other = fresh(*arguments), rote(*arguments)
    assert one == other
    assert one.code == FAILED
