"""A tiny run, scanned and scored once for all tests of the back-test."""

import shutil

import pytest

from flows.runners import LocalMapper
from pipeline import run
from pipeline.backtest.subject import read_subject
from pipeline.config.load import load_config
from tests.unit.backtest.tiny import SCORED, corpus, small


@pytest.fixture(autouse=True)
def _small():
    """Draw few laws and plant little, in every test of this folder."""
    with small():
        yield


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """Return a run folder after a scan, a score and a filter; it is not to be written to."""
    folder = tmp_path_factory.mktemp("backtest")
    settings = load_config(settings=["limits.workers=1", *SCORED])
    places = [str(corpus(folder / "corpus"))]
    with small(), run.session(folder / "run", settings, LocalMapper(1), corpus=places) as session:
        run.scan(session)
        run.score(session)
        run.filter_rows(session)
    return folder / "run"


@pytest.fixture(scope="session")
def subject(scored, config):
    """Return the subject of the tiny run."""
    with small():
        return read_subject(scored, config)


@pytest.fixture
def own_run(scored, tmp_path):
    """Return a copy of the scored run that a test may write to."""
    return shutil.copytree(scored, tmp_path / "run")


@pytest.fixture(scope="session")
def config():
    """Return the settings of the run."""
    return load_config(settings=["limits.workers=1", *SCORED])
