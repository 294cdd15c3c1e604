"""The command line: what is said of one that is not valid."""

import gc

import pytest

from flows.cli import interruptible
from flows.command_line import run
from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("explain my-run", "DOC-ID is missing: The row's id, or SHARD#ROW."),
        ("filter", "RUN is missing: A run folder."),
        ("scan corpus", "--out is missing: The run folder."),
        ("scan corpus --out", "--out has no value after it"),
        ("query my-run", "Give the text itself with --text, or a file with it with --file."),
        ("explain my-run a --other", "Unknown option: --other."),
    ],
)
def test_what_is_missing_is_named_as_the_help_has_it(given: str, found: str) -> None:
    """A place by its name in the usage line, an option with its hyphens, a group by its rule."""
    with pytest.raises(ConfigError) as refused:
        run(given.split())
    assert refused.value.found == found


def test_garbage_is_collected_from_when_work_begins():
    """Not while modules are imported, which is what takes most of the time of a small command."""
    gc.disable()
    try:
        interruptible()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.enable()
