"""A real Ray cluster of two nodes on this machine: the same bytes, also when one of them dies."""

import os
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flows import cluster
from flows.runners import LocalMapper, units_on
from pipeline import run
from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.engine.parts import elsewhere
from pipeline.engine.session import one_by_one
from pipeline.errors import ConfigError
from pipeline.scan import inventory
from tests.e2e import corpora
from tests.e2e.command import QUICK_SCORE
from tests.other_process import OtherProcess

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ("window.words=6",)
WORDS = [f"w{n}" for n in range(40)]


def test_another_runner_is_refused(tmp_path):
    """Only Ray is one; without it, or without a cluster, one sentence says so."""
    with pytest.raises(ConfigError, match="no such runner"), units_on("spark", tmp_path, Config()):
        pass


@pytest.fixture
def files():
    """Return shards that repeat one another."""
    return {
        f"{n}.jsonl": [" ".join([*WORDS[k : k + 20 + n], str(k % 3)]) for k in range(20)]
        for n in range(6)
    }


def grow(corpus, make_corpus, files):
    """Add a shard at the end of a corpus."""
    make_corpus(corpus, {"9.jsonl": [f"{text} again" for text in files["0.jsonl"][:5]]})


def shrink(corpus, *_):
    """Take a shard out."""
    (corpus / "2.jsonl").unlink()


@pytest.mark.parametrize("change", [None, grow, shrink])
def test_parts_that_run_elsewhere_give_the_same_bytes(
    tmp_path, make_corpus, scan, files, change, monkeypatch
):
    """Every task of a stage that spreads can be sent, and tells what it made by files alone.

    Also where a stage goes on from its last output.
    """
    monkeypatch.setattr(inventory, "GROUP_BYTES", 1)
    settings = (*SETTINGS, "near.containment=0.6")
    distinct = {f"x{n}.jsonl": [f"{n} {k} only here" for k in range(60)] for n in range(8)}
    corpus = make_corpus(tmp_path / "c", files | distinct)
    ran: dict[str, int] = {}

    def spread(stage, function, works):
        other = OtherProcess()
        with elsewhere(other if run.STAGES[stage].spreads else None):
            yield from one_by_one(stage, function, works)
        ran[stage] = other.ran

    def perform():
        out, config = tmp_path / "there", load_config(settings=settings)
        with run.session(out, config, spread, corpus=[str(corpus)]) as session:
            run.scan(session)
            run.filter_rows(session)

    perform()
    scan(corpus, tmp_path / "here", *settings)
    if change:
        change(corpus, make_corpus, files)
        perform()
        scan(corpus, tmp_path / "here", *settings)
    assert everything(tmp_path / "there") == everything(tmp_path / "here")
    assert all((count > 2) == run.STAGES[stage].spreads for stage, count in ran.items())


@contextmanager
def begun(monkeypatch, head):
    """Give a cluster whose first node has so many cores, and a second one with one."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(inventory, "GROUP_BYTES", 1)  # a shard is a group
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": head})
    started.second = started.add_node(num_cpus=1)
    started.wait_for_nodes()
    try:
        yield started
    finally:
        started.shutdown()


@pytest.fixture
def nodes(monkeypatch):
    """Give a cluster of two nodes, one unit at a time each."""
    with begun(monkeypatch, 1) as started:
        yield started


def everything(folder):
    """Return the bytes of all that a run wrote but its events and its lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and "events" not in path.parts
    }


def on_cluster(nodes, corpus, out, seen=lambda _stage: None, *, settings=SETTINGS, act=None):
    """Scan and filter a corpus on the cluster, or do what is named."""
    config = load_config(settings=settings)
    with units_on(f"ray:{nodes.address}", out, config) as (config, wrapped):

        def mapper(stage, function, works):
            seen(stage)
            return wrapped(LocalMapper(2))(stage, function, works)

        with run.session(out, config, mapper, corpus=[str(corpus)]) as session:
            if act:
                act(session)
            else:
                run.scan(session)
                run.filter_rows(session)


@pytest.fixture
def losing(nodes, monkeypatch):
    """Give a function that lets a node be lost once a stage has so many parts done."""
    honest = cluster.Cluster.in_order
    at: dict[str, Any] = {}
    parts: list[str] = []

    def in_order(self, task, works):
        for found in honest(self, task, works):
            parts.append(parts[0])
            if at.get(parts[0]) == len(parts) - 1:
                nodes.remove_node(at.pop("node"))
            yield found

    def seen(stage):
        parts[:] = [stage]

    def lose(stage, done):
        at.update({stage: done, "node": nodes.add_node(num_cpus=1)})
        nodes.wait_for_nodes()
        return seen, at

    monkeypatch.setattr(cluster.Cluster, "in_order", in_order)
    return lose


@pytest.mark.slow
def test_two_nodes_write_what_one_machine_does(nodes, tmp_path, make_corpus, scan, files):
    """Every file and the manifest, byte for byte; one lost in the sketch changes nothing."""
    corpus = make_corpus(tmp_path / "c", files)
    expected = everything(scan(corpus, tmp_path / "here", *SETTINGS).folder)
    on_cluster(nodes, corpus, tmp_path / "there")
    assert everything(tmp_path / "there") == expected
    second = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    killed: list[str] = []

    def kill_soon(stage):
        if stage == "sketch":
            killed.append(stage)
            threading.Timer(0.05, nodes.remove_node, (second,)).start()

    on_cluster(nodes, corpus, tmp_path / "killed", kill_soon)
    assert killed
    assert everything(tmp_path / "killed") == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "done"), [("pairs", 1), ("pairs", 7), ("windows", 1), ("windows", 8), ("windows", 14)]
)
def test_a_node_lost_between_parts_changes_nothing(
    nodes, losing, tmp_path, make_corpus, scan, files, stage, done
):
    """A node goes after so many parts of a reduce: what it had put aside is read all the same."""
    corpus = make_corpus(tmp_path / "c", files)
    expected = everything(scan(corpus, tmp_path / "here", *SETTINGS).folder)
    seen, left = losing(stage, done)
    on_cluster(nodes, corpus, tmp_path / "killed", seen)
    assert "node" not in left
    assert everything(tmp_path / "killed") == expected


def works(node):
    """Tell whether a worker of a node runs a unit."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            found.append(parent == raylet and b"unit_on_node" in (path / "cmdline").read_bytes())
    return any(found)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_lost_in_the_training_changes_nothing(monkeypatch, tmp_path):
    """The node on which proxies train goes once a checkpoint is there; another goes on from it."""
    corpus = corpora.small(tmp_path / "c")
    quick = (option.removeprefix("--set=") for option in QUICK_SCORE)
    settings = (*SETTINGS, *quick, "proxy.epochs=20")  # long enough for a checkpoint
    here, there = tmp_path / "here", tmp_path / "there"
    lost: list[bool] = []
    with begun(monkeypatch, 0) as nodes:
        both = [nodes.second, nodes.add_node(num_cpus=1)]
        nodes.wait_for_nodes()

        def lose_once_it_trains():
            while not [*there.glob(".unfinished/*/*")]:
                time.sleep(0.01)
            (busy,) = [node for node in both if works(node)]
            nodes.remove_node(busy)
            lost.append(not (there / "sequences").is_dir())

        def seen(stage):
            if stage == "sequences":
                threading.Thread(target=lose_once_it_trains, daemon=True).start()

        on_cluster(nodes, corpus, there, seen, settings=settings, act=run.everything)
    config = load_config(settings=settings)
    with run.session(here, config, LocalMapper(1), corpus=[str(corpus)]) as session:
        run.everything(session)
    assert lost == [True]
    assert everything(there) == everything(here)


@pytest.mark.slow
def test_what_a_stage_raises_arrives_as_it_is(nodes, tmp_path, make_corpus):
    """An error of the pipeline on a node is the one that the user reads."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [{"text": "x", "rote": 1}, {"text": "y"}]})
    with pytest.raises(Exception, match="rote") as found:
        on_cluster(nodes, corpus, tmp_path / "run")
    assert type(found.value).__module__ == "pipeline.errors"
