import ast
import dataclasses
import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine import session
from pipeline.engine.files import place_of
from pipeline.engine.manifest import load_manifest, saved_config
from pipeline.engine.progress import Silent
from pipeline.engine.stage import Former, Receipt
from pipeline.engine.tables import read_table, write_table
from pipeline.errors import ConfigError, InputError, IntegrityError, RunFolderError
from pipeline.outline import outline, plan
from pipeline.scan import inventory
from schemas.scan.families import FAMILIES

SENTENCE = " ".join(f"w{n}" for n in range(60))
FILES = {
    "a.jsonl": [SENTENCE, f"{SENTENCE} tail", "short", ""],
    "b.jsonl": [SENTENCE, "other text entirely", "short"],
    "c.jsonl": [f"{SENTENCE} and more of it", "alone"],
}
SKETCHES = ["sketch/g00000", "sketch/g00001", "sketch/g00002"]
REDUCES = ["copies", "candidates", "pairs", "windows", "contained", "families", "counts"]
DECIDED = ["documents/all", "decisions/all"]
EMITS = ["emit/g00000", "emit/g00001", "emit/g00002", "seal/all"]
WITH_COPIES = [output for output in EMITS if output != "emit/g00002"]  # c holds no copy


def all_of(*stages):
    """Return the outputs of reduces."""
    return [f"{stage}/all" for stage in stages]


EVERYTHING = sorted([*SKETCHES, *all_of(*REDUCES, "columns"), *DECIDED, *EMITS])


def contents(folder, *, manifest=True):
    """Return the bytes of all files of a run folder but the log of events and the lock."""
    left_out = {"events/stages.jsonl", ".lock"} | (set() if manifest else {"manifest.json"})
    return {
        name: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (name := path.relative_to(folder).as_posix()) not in left_out
    }


@pytest.fixture(scope="module", autouse=True)
def groups():
    """Make each shard a group of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inventory, "GROUP_BYTES", 1)
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory, make_corpus, scan):
    """Give a run over a corpus of three shards; tests leave both as they are."""
    folder = tmp_path_factory.mktemp("first")
    return scan(make_corpus(folder / "c", FILES), folder / "run")


@pytest.fixture
def corpus(tmp_path, first):
    """Give a copy of that corpus."""
    return shutil.copytree(first.folder.parent / "c", tmp_path / "c")


@pytest.fixture
def done(tmp_path, first, corpus):
    """Give a copy of that run, over the copy of the corpus."""
    assert corpus.exists()
    return dataclasses.replace(first, folder=shutil.copytree(first.folder, tmp_path / "run"))


def filtered(out, *settings):
    """Run the filter alone on a run folder."""
    config = load_config(settings=settings)
    with run.session(out, config, LocalMapper(2)) as session:
        run.filter_rows(session)


def test_a_run_performs_every_stage_once_in_order(first):
    """Groups map first, then each reduce of scan and filter, then the writing by group."""
    names = list(dict.fromkeys(output.split("/")[0] for output in first.performed))
    assert names == ["sketch", *REDUCES, "documents", "decisions", "columns", "emit", "seal"]
    assert sorted(first.performed) == EVERYTHING
    assert sorted(first.manifest["outputs"]) == EVERYTHING


def test_running_twice_is_running_once(first, scan):
    """A second run performs nothing and leaves every byte, the manifest's too."""
    before = contents(first.folder)
    again = scan(first.folder.parent / "c", first.folder)
    assert again.performed == []
    assert contents(again.folder) == before


def test_two_folders_of_one_corpus_are_the_same_bytes(first, tmp_path, scan):
    """Any number of workers and any memory give the same files and the same manifest."""
    limits = ("limits.workers=3", "limits.memory=2_000_000_000")
    other = scan(first.folder.parent / "c", tmp_path / "run", *limits)
    assert contents(first.folder) == contents(other.folder)


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ("limits.workers=1", []),
        ("limits.memory=2_000_000_000", []),
        ("input.skip_bad_files=true", []),
        ("target.epochs=3.0", []),
        ("emit.column=mine", EMITS),
        ("policy.rules=[]", ["decisions/all", *WITH_COPIES]),
        ("near.threshold=0.9", [*DECIDED, *EMITS]),
        ("near.keep=earliest", [*DECIDED, *EMITS]),
        ("near.sources=(top folder)", DECIDED),  # one source: the same keepers
        ("near.containment=0.9", ["contained/all", "documents/all", *EMITS]),
        ("window.link_documents=9", all_of("windows", "contained")),
        ("near.count_threshold=0.6", ["pairs/all"]),  # no pair lies between 0.5 and 0.6
        ("near.bucket_cap=99", all_of("candidates", "counts")),
        (
            "window.words=40",
            all_of("windows", "contained", "families", "counts", "decisions"),
        ),
        ("sketch.seed=2", [*SKETCHES, *all_of(*REDUCES, "decisions", "columns")]),
        ("sketch.shingle_words=4", EVERYTHING),
        (
            "input.text_separator=x",
            [*SKETCHES, "columns/all", *EMITS],
        ),  # one text column: the same documents
    ],
)
def test_a_setting_redoes_what_depends_on_it_and_nothing_else(corpus, done, scan, setting, again):
    """What reads a setting is run again, and what reads other bytes than before; nothing else."""
    assert sorted(scan(corpus, done.folder, setting).performed) == sorted(again)


def test_a_new_version_of_the_same_bytes_redoes_one_stage(corpus, done, scan, monkeypatch):
    """What follows a stage rests on the bytes that it made, not on the code that made them."""
    newer = dataclasses.replace(run.STAGES["windows"], version=99)
    monkeypatch.setitem(run.STAGES, "windows", newer)
    stages = tuple(newer if stage.name == "windows" else stage for stage in run.SCAN)
    monkeypatch.setattr(run, "SCAN", stages)
    assert scan(corpus, done.folder).performed == ["windows/all"]
    assert scan(corpus, done.folder).performed == []


def test_the_engine_knows_no_stage_by_its_name():
    """No name of a stage or of a table is a string of the engine's code."""
    counted = {"documents", "rejected"}  # what the registry of shards counts of each, too
    named = {*run.STAGES, *run.TABLES} - counted
    folder = Path(session.__file__).parent
    for path in sorted(folder.glob("*.py")):
        strings = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert strings & named == set(), path.name


def test_every_table_of_a_run_belongs_to_a_stage(first):
    """The folders that are swept are those that the stages write to, and no others."""
    for output, entry in first.manifest["outputs"].items():
        stage = run.STAGES[output.partition("/")[0]]
        assert {record["path"].partition("/")[0] for record in entry["files"]} <= {*stage.tables}


def test_a_setting_and_back_gives_the_first_bytes(corpus, done, scan):
    """There is no trace of a threshold that was tried and given up."""
    before = contents(done.folder, manifest=False)
    scan(corpus, done.folder, "near.threshold=0.99", "window.words=20")
    assert contents(scan(corpus, done.folder).folder, manifest=False) == before


def test_a_continued_run_folder_is_that_of_a_fresh_run(corpus, done, tmp_path, scan):
    """Changed settings on an old folder give the data and the manifest of a new folder with those
    settings.
    """
    settings = ("near.threshold=0.95", "near.count_threshold=0.3", "window.words=20")
    old = scan(corpus, done.folder, *settings)
    new = scan(corpus, tmp_path / "new", *settings)
    assert contents(old.folder) == contents(new.folder)


def test_a_touched_shard_redoes_nothing(corpus, done, scan):
    """A new modification time over the same bytes leaves every data file."""
    before = contents(done.folder, manifest=False)
    os.utime(corpus / "b.jsonl", ns=(1, 1))
    assert scan(corpus, done.folder).performed == []
    assert contents(done.folder, manifest=False) == before


@pytest.mark.usefixtures("done")
def test_a_changed_shard_redoes_its_group_and_what_counts_over_all(
    corpus, tmp_path, scan, make_corpus
):
    """Its group alone is sketched again, and no rows are written again that are as they were."""
    make_corpus(corpus, {"b.jsonl": [SENTENCE, "quite new"]})
    done = scan(corpus, tmp_path / "run")
    assert [output for output in done.performed if output.startswith("sketch")] == ["sketch/g00001"]
    assert sorted(done.performed) == sorted(
        ["sketch/g00001", *all_of(*REDUCES, "columns"), *DECIDED, *WITH_COPIES]
    )
    fresh = scan(corpus, tmp_path / "fresh")
    assert done.table("documents").equals(fresh.table("documents"))
    assert json.loads((done.folder / "lists/kept.json").read_text())["counted_in"] == 2


def test_a_stage_is_given_its_last_output_and_what_of_its_inputs_is_unchanged(
    corpus, done, scan, make_corpus, monkeypatch
):
    """Of a corpus that changed, those stages that go on from their last output, and no others; not
    the first time, nor after a setting that they read has changed.
    """
    given: dict[str, Former | None] = {}
    honest = session.Session.work

    def noted(own, stage, key, units):
        work = honest(own, stage, key, units)
        given[stage.name] = work.former
        assert stage.continues or work.former is None
        return work

    monkeypatch.setattr(session.Session, "work", noted)
    make_corpus(corpus, {"b.jsonl": [SENTENCE, "quite new"]})
    (corpus / "c.jsonl").unlink()
    scan(corpus, done.folder)
    windows, pairs = given["windows"], given["pairs"]
    assert windows is not None
    assert pairs is not None
    assert windows.same == {"sketch/g00000"}
    assert windows.tables["spans"] == ("spans/all.parquet",)
    assert windows.tables.keys() == set(run.STAGES["windows"].tables)
    assert pairs.same == {"sketch/g00000"}  # the candidates are others
    scan(corpus, done.folder, "window.words=40", "near.bucket_cap=9")
    assert given["windows"] is None
    assert given["pairs"] is pairs  # which was current: the candidates are the same
    scan(corpus, done.folder.parent / "other")
    assert given["windows"] is given["pairs"] is None


def test_a_new_shard_keeps_names_and_adds_its_group(corpus, done, tmp_path, scan, make_corpus):
    """A shard that sorts first is numbered last; old groups are not sketched again."""
    keys = done.rows("documents", "row_key", "doc_id")
    make_corpus(corpus, {"0.jsonl": [SENTENCE]})
    done = scan(corpus, tmp_path / "run")
    sketched = [output for output in done.performed if output.startswith("sketch")]
    assert sketched == ["sketch/g00003"]
    after = done.rows("documents", "row_key", "doc_id")
    assert after == [*keys, (3 << 40, "0.jsonl#0")]
    exact = dict(done.rows("documents", "doc_id", "exact_count"))
    assert exact["a.jsonl#0"] == exact["b.jsonl#0"] == exact["0.jsonl#0"] == 3
    assert (done.folder / "kept/0.parquet").exists()


def test_a_vanished_shard_takes_its_counts_and_its_files_along(corpus, done, tmp_path, scan):
    """Counts fall, numbers stay, and no file of the retired shard is left."""
    assert dict(done.rows("documents", "doc_id", "exact_count"))["b.jsonl#0"] == 2
    (corpus / "a.jsonl").unlink()
    done = scan(corpus, tmp_path / "run")
    assert not [output for output in done.performed if output.startswith("sketch")]
    assert done.rows("documents", "row_key", "doc_id", "exact_count") == [
        (1 << 40, "b.jsonl#0", 1),
        ((1 << 40) + 1, "b.jsonl#1", 1),
        ((1 << 40) + 2, "b.jsonl#2", 1),
        (2 << 40, "c.jsonl#0", 1),
        ((2 << 40) + 1, "c.jsonl#1", 1),
    ]
    assert not [name for name in contents(done.folder) if "a.parquet" in name or "g00000" in name]
    assert "rejected/a.parquet" not in str(done.manifest["outputs"])


def test_a_shard_that_comes_back_is_the_one_it_was(corpus, done, tmp_path, scan):
    """After leaving and coming back, all tables of the scan are the first ones, bit for bit."""
    names = [f"{table}/all.parquet" for table in ("counts", "pairs", "spans", "documents")]
    before = [(done.folder / name).read_bytes() for name in names]
    shutil.move(corpus / "a.jsonl", tmp_path / "a.jsonl")
    scan(corpus, tmp_path / "run")
    shutil.move(tmp_path / "a.jsonl", corpus / "a.jsonl")
    scan(corpus, tmp_path / "run")
    assert [(done.folder / name).read_bytes() for name in names] == before


class Killed(BaseException):
    """Stands for a kill."""


class StoppingMapper:
    """Runs units in this thread and dies before the n-th over all stages."""

    def __init__(self, units):
        self.left = units

    def __call__(self, stage, function, works):
        """Yield receipts until the budget of units is spent."""
        assert stage
        for index, work in enumerate(works):
            if self.left == 0:
                raise Killed
            self.left -= 1
            yield index, function(work)


@pytest.mark.parametrize("units", range(0, 17, 2))
def test_stopped_after_any_unit_it_continues_to_the_same_bytes(first, tmp_path, scan, units):
    """However many units were done, the next run does the others and ends with the bytes of an
    unbroken one.
    """
    corpus = first.folder.parent / "c"
    assert len(first.performed) == 17

    def stopped():
        mapper = StoppingMapper(units)
        with run.session(tmp_path / "run", load_config(), mapper, corpus=[str(corpus)]) as session:
            run.scan(session)
            run.filter_rows(session)

    with pytest.raises(Killed):
        stopped()
    rest = scan(corpus, tmp_path / "run")
    assert len(rest.performed) == 17 - units
    assert contents(rest.folder) == contents(first.folder)


def test_a_damaged_output_is_made_anew_under_verify(corpus, done, tmp_path, scan):
    """A flipped bit goes unseen by size, is found by --verify, and the file is made again as it
    was.
    """
    path = done.folder / "pairs" / "all.parquet"
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert scan(corpus, tmp_path / "run").performed == []
    again = scan(corpus, tmp_path / "run", verify=True)
    assert again.performed == ["pairs/all"]
    assert path.read_bytes() == whole


def test_a_lost_output_is_made_anew(corpus, done, tmp_path, scan):
    """A file that someone deleted is made again, alone."""
    before = contents(done.folder, manifest=False)
    (done.folder / "kept" / "b.parquet").unlink()
    (done.folder / "spans" / "all.parquet").unlink()
    again = scan(corpus, tmp_path / "run")
    assert sorted(again.performed) == ["emit/g00001", "seal/all", "windows/all"]
    assert contents(again.folder, manifest=False) == before


def test_a_filter_needs_a_finished_scan_of_the_same_settings(done):
    """The stages that are not current are named, with what to do."""
    with pytest.raises(ConfigError, match="cannot be used for `filter`") as refused:
        filtered(done.folder, "near.count_threshold=0.4")
    assert refused.value.found == "not current: pairs, families, counts"
    assert "rote scan" in refused.value.fix


def test_a_refused_command_leaves_the_run_folder_as_it_was(done):
    """Settings that were refused are not saved: the next command without them works."""
    before = contents(done.folder)
    with pytest.raises(ConfigError):
        filtered(done.folder, "window.words=30")
    assert contents(done.folder) == before
    assert saved_config(done.folder)["window"]["words"] == 50


def test_the_settings_of_a_filter_are_saved(done):
    """What a filter was run with is what later commands start from; limits are never saved."""
    filtered(done.folder, "near.threshold=0.9", "limits.workers=1")
    saved = saved_config(done.folder)
    assert saved["near"]["threshold"] == 0.9
    assert "limits" not in saved


def test_a_filter_of_a_changed_corpus_is_refused_by_name(corpus, done, scan, make_corpus):
    """The counts are of other bytes than the filter would write out."""
    assert scan(corpus, done.folder).performed == []
    before = contents(done.folder)
    make_corpus(corpus, {"b.jsonl": ["changed"]})
    with pytest.raises(InputError, match="changed after it was scanned") as refused:
        filtered(done.folder)
    assert refused.value.where == "b.jsonl"
    assert contents(done.folder) == before


def test_a_filter_of_nothing_is_refused(tmp_path):
    """A folder that is no run folder is refused, and none is made."""
    with pytest.raises(RunFolderError, match="not a run folder"):
        filtered(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_output_inside_the_corpus_is_refused_and_not_made(corpus):
    """Neither a run nor a plan makes a folder there."""
    with (
        pytest.raises(ConfigError),
        run.session(corpus / "run", load_config(), LocalMapper(1), corpus=[str(corpus)]),
    ):
        pass
    with pytest.raises(ConfigError):
        plan("scan", outline(corpus / "run", load_config(), [str(corpus)]))
    assert not (corpus / "run").exists()


def test_a_plan_of_a_first_run_has_everything_due_and_makes_nothing(corpus, tmp_path):
    """All units of all stages are due, and not even the folder is made."""
    planned = plan("scan", outline(tmp_path / "run", load_config(), [str(corpus)]))
    assert planned == [("sketch", 3, 3), *((stage, 1, 1) for stage in REDUCES)]
    with pytest.raises(RunFolderError):
        plan("filter", outline(tmp_path / "run", load_config()))
    assert not (tmp_path / "run").exists()


def test_a_plan_tells_what_is_due_and_writes_nothing(corpus, done):
    """After a run nothing is due; a threshold makes the filter due, a changed shard its group and
    the reduces.
    """
    out, config = done.folder, load_config()
    before = contents(out)
    assert {units for _, units, _ in plan("scan", outline(out, config, [str(corpus)]))} == {0}
    other = load_config(settings=["near.threshold=0.9"])
    assert plan("filter", outline(out, other)) == [
        ("documents", 1, 1),
        ("decisions", 1, 1),
        ("columns", 0, 1),
        ("emit", 3, 3),
        ("seal", 1, 1),
    ]
    usual = [name for name, stage in run.STAGES.items() if stage.wanted(config)]
    assert [stage for stage, *_ in plan("run", outline(out, config, [str(corpus)]))] == usual
    asked = load_config(settings=["decontaminate.files=x"])
    assert plan("filter", outline(out, asked))[:2] == [("contaminated", 1, 1), ("documents", 1, 1)]
    (corpus / "b.jsonl").write_text('{"text": "changed"}\n')
    assert plan("scan", outline(out, config, [str(corpus)]))[:2] == [
        ("sketch", 1, 3),
        ("copies", 1, 1),
    ]
    assert contents(out) == before


@pytest.mark.parametrize("stage", [stage.name for stage in run.STAGES.values() if stage.conserves])
def test_a_stage_that_loses_rows_is_stopped(corpus, tmp_path, scan, monkeypatch, stage):
    """Rows in must be rows out; the output of such a stage does not come to exist."""
    honest = run.STAGES[stage]

    def losing(work):
        receipt = honest.function(work)
        return dataclasses.replace(receipt, rows_out=receipt.rows_out - 1)

    fault = dataclasses.replace(honest, function=losing)
    for name in ("SCAN", "FILTER"):
        chosen = tuple(fault if s.name == stage else s for s in getattr(run, name))
        monkeypatch.setattr(run, name, chosen)
    with pytest.raises(IntegrityError, match="lost or made rows") as stopped:
        scan(corpus, tmp_path / "run")
    assert stopped.value.where.startswith(f"{stage}/")
    assert stopped.value.where not in load_manifest(tmp_path / "run")["outputs"]


def test_a_join_that_loses_documents_is_stopped(corpus, tmp_path, scan, monkeypatch):
    """`counts` compares its rows with those of the sketch: a family that is missing is noticed."""

    def forgetful(work):
        receipt = run.STAGES["families"].function(work)
        rows = read_table([place_of(work.folder / receipt.files[0].path)], FAMILIES)
        with write_table(work.folder, "families", work.key, FAMILIES) as out:
            out.write(rows[1:])
        return Receipt((out.record,), receipt.rows_in, receipt.rows_in)

    fault = dataclasses.replace(run.STAGES["families"], function=forgetful)
    monkeypatch.setattr(run, "SCAN", tuple(fault if s.name == "families" else s for s in run.SCAN))
    with pytest.raises(IntegrityError, match="lost or made rows") as stopped:
        scan(corpus, tmp_path / "run")
    assert (stopped.value.where, stopped.value.expected) == ("counts/all", "8")


def test_the_manifest_holds_no_clock_and_the_log_does(first):
    """Elapsed times are in events/ alone; the manifest records rows, digests and versions."""
    assert "elapsed" not in json.dumps(first.manifest)
    lines = (first.folder / "events/stages.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert {event["event"] for event in events} >= {"begin", "stage", "unit", "end"}
    resources = {"elapsed_s", "cpu_s", "peak_bytes"}
    units = [event for event in events if event["event"] == "unit"]
    told = {"event", "at", "stage", "key", "rows_in", "rows_out"} | resources
    assert all(set(event) == told for event in units)
    assert {event["stage"] for event in units} == {
        event["stage"] for event in events if "units" in event
    }
    assert first.manifest["unicode"] == "14.0.0"
    shards = first.manifest["corpus"]["shards"]
    assert [(s["documents"], s["rejected"]) for s in shards] == [
        (3, {"empty_text": 1}),
        (3, {}),
        (2, {}),
    ]


def test_rules_that_a_scan_leaves_out_are_an_alarm(corpus, tmp_path, scan, monkeypatch):
    """What was masked would be in kept/ again, and a line among others is easily passed over."""
    said: list[str] = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))
    scan(corpus, tmp_path / "run", 'policy.rules=["drop-copies", "mask-personal"]')
    assert not [text for text in said if text.startswith("ALARM")]
    scan(corpus, tmp_path / "run", 'policy.rules=["drop-copies"]')
    (alarm,) = [text for text in said if text.startswith("ALARM")]
    assert "leaves out rules of the last one: mask-personal." in alarm


def test_settings_that_a_scan_takes_otherwise_are_told(corpus, tmp_path, scan, monkeypatch):
    """A scan begins with the defaults: what the command before was told is named, once."""
    said: list[str] = []
    monkeypatch.setattr(Silent, "message", lambda _, text: said.append(text))

    def others():
        found = [text for text in said if text.startswith("other settings")]
        said.clear()
        return found

    scan(corpus, tmp_path / "run", "near.threshold=0.9", "limits.workers=1")
    assert others() == []
    scan(corpus, tmp_path / "run", "near.threshold=0.9")
    assert others() == []
    scan(corpus, tmp_path / "run", "near.keep=earliest")
    told = (
        "other settings than of the last command here (scan and run begin with the defaults): "
        "near.threshold, near.keep; with those again: --set near.threshold=0.9 --set "
        "'near.keep=\"longest\"'"
    )
    assert others() == [told]
    words = shlex.split(told.partition("again: ")[2])
    scan(corpus, tmp_path / "run", *words[1::2])
    (again,) = others()
    assert again.endswith("defaults): near.threshold, near.keep; with those again: --set "
                          "near.threshold=0.8 --set 'near.keep=\"earliest\"'")  # fmt: skip
