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
def scored(once):
    """Return a run folder after a scan, a score and a filter; it is not to be written to."""

    def fill(folder):
        places, out = [str(corpus(folder / "corpus"))], folder / "run"
        settings = load_config(settings=["limits.workers=1", *SCORED])
        with small(), run.session(out, settings, LocalMapper(1), corpus=places) as session:
            run.scan(session)
            run.score(session)
            run.filter_rows(session)

    return once("backtest", fill) / "run"


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
