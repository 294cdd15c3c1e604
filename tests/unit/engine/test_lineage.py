"""OpenLineage events of a command, held against the published form of them."""

import json

import jsonschema
import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.config.load import load_config
from pipeline.engine.lineage import dataset
from pipeline.errors import ConfigError

FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {
            name: {"type": "string", "format": "uri"} for name in ("_producer", "_schemaURL")
        },
    },
}
NAMED = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": {"type": "string"},
        "name": {"type": "string"},
        "facets": FACETS,
        "inputFacets": FACETS,
        "outputFacets": FACETS,
    },
}
RUN_EVENT = {  # what version 2-0-2 asks of a run event
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        },
        "producer": {"type": "string", "pattern": "^[a-z]+:"},
        "schemaURL": {"type": "string", "pattern": "^https://"},
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {
                "runId": {
                    "type": "string",
                    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
                },
                "facets": FACETS,
            },
        },
        "job": NAMED,
        "inputs": {"type": "array", "items": NAMED},
        "outputs": {"type": "array", "items": NAMED},
    },
}


@pytest.fixture
def perform(tmp_path, make_corpus):
    """Give a function that runs an act over a corpus and returns the events of it."""
    make_corpus(tmp_path / "c", {"a.jsonl": ["one two three four five six", "one two", "one two"]})
    config = load_config(settings=[f"limits.lineage={json.dumps(str(tmp_path / 'lineage.jsonl'))}"])

    def act(command, do):
        begun = run.session(
            tmp_path / "run", config, LocalMapper(1), corpus=[str(tmp_path / "c")], command=command
        )
        with begun as opened:
            do(opened)

    def events():
        lines = (tmp_path / "lineage.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        for event in found:
            jsonschema.validate(event, RUN_EVENT)
        return found

    return act, events


def test_a_command_has_an_event_when_it_begins_and_one_when_it_ends(perform, tmp_path):
    """The corpus goes in, kept and removed rows come out, with rows, bytes and files."""
    act, events = perform
    act("scan --filter", run.COMMANDS["scan --filter"])
    start, complete = events()
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["job"] == complete["job"] == {"namespace": "rote", "name": "run scan --filter"}
    assert complete["inputs"] == [{"namespace": "file", "name": str(tmp_path / "c")}]
    assert start["outputs"] == []
    rows = {
        one["name"].rpartition("/")[2]: one["outputFacets"]["outputStatistics"]["rowCount"]
        for one in complete["outputs"]
    }
    assert (rows["kept"], rows["removed"]) == (2, 1)


def test_how_a_command_fails_is_told_without_the_words_of_others(perform):
    """An error of ours by its sentence, another by its kind, Ctrl-C as what was asked for."""
    act, events = perform

    def raising(error):
        def do(_):
            raise error

        return do

    for error in (
        ConfigError("Not so.", found="a secret"),
        ValueError("a text"),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)):
            act("scan", raising(error))
    ends = events()[1::2]
    assert [end["eventType"] for end in ends] == ["FAIL", "FAIL", "ABORT"]
    told = [end["run"]["facets"]["errorMessage"]["message"] for end in ends]
    assert told == ["Not so.", "ValueError", "KeyboardInterrupt"]


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path, perform):
    """Before any work."""
    act, _ = perform
    (tmp_path / "lineage.jsonl").mkdir()
    with pytest.raises(ConfigError, match="The file for lineage cannot be written"):
        act("scan", run.COMMANDS["scan"])


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("/data/web", ("file", "/data/web")),
        ("@/data/list.txt", ("file", "/data/list.txt")),
        ("s3://bucket/some/web", ("s3://bucket", "some/web")),
        ("s3://bucket", ("s3://bucket", "/")),
    ],
)
def test_places_have_the_names_that_openlineage_gives_them(root, expected):
    """By the storage, and the path in it."""
    assert tuple(dataset(root).values()) == expected
