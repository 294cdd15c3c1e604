"""A real Ray cluster of two nodes on this machine: the same bytes, also when one of them dies."""

import os
import threading
from pathlib import Path

import pytest

from flows.runners import LocalMapper, units_on
from pipeline import run
from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.errors import ConfigError
from pipeline.scan import inventory

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


@pytest.fixture
def nodes(monkeypatch):
    """Give a cluster of two nodes, one unit at a time each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(inventory, "GROUP_BYTES", 1)  # a shard is a group
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    started.add_node(num_cpus=1)
    started.wait_for_nodes()
    try:
        yield started
    finally:
        started.shutdown()


def everything(folder):
    """Return the bytes of all that a run wrote but its events and its lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and "events" not in path.parts
    }


def on_cluster(nodes, corpus, out, seen=lambda _stage, _pool: None):
    """Scan and filter a corpus on the cluster."""
    config = load_config(settings=SETTINGS)
    with units_on(f"ray:{nodes.address}", out, config) as (config, wrapped):

        def mapper(stage, function, works):
            seen(stage, works)
            return wrapped(LocalMapper(2))(stage, function, works)

        with run.session(out, config, mapper, corpus=[str(corpus)]) as session:
            run.scan(session)
            run.filter_rows(session)


@pytest.mark.slow
def test_two_nodes_write_what_one_machine_does(nodes, tmp_path, make_corpus, scan, files):
    """Every file and the manifest, byte for byte; a node that dies in the scan changes nothing."""
    corpus = make_corpus(tmp_path / "c", files)
    expected = everything(scan(corpus, tmp_path / "here", *SETTINGS).folder)
    on_cluster(nodes, corpus, tmp_path / "there")
    assert everything(tmp_path / "there") == expected
    second = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    killed: list[str] = []

    def kill_soon(stage, _works):
        if stage in ("sketch", "pairs") and not killed:
            killed.append(stage)
            threading.Timer(0.05, nodes.remove_node, (second,)).start()

    on_cluster(nodes, corpus, tmp_path / "killed", kill_soon)
    assert killed
    assert everything(tmp_path / "killed") == expected


@pytest.mark.slow
def test_what_a_stage_raises_arrives_as_it_is(nodes, tmp_path, make_corpus):
    """An error of the pipeline on a node is the one that the user reads."""
    corpus = make_corpus(tmp_path / "c", {"a.jsonl": [{"text": "x", "rote": 1}, {"text": "y"}]})
    with pytest.raises(Exception, match="rote") as found:
        on_cluster(nodes, corpus, tmp_path / "run")
    assert type(found.value).__module__ == "pipeline.errors"
