"""`make quick`: which unit tests a changed file needs."""

import pytest

from tests import quick


@pytest.mark.parametrize(
    ("changed", "room"),
    [
        ("pipeline/scan/near/pairs.py", "scan"),
        ("sql/filter/audits/keepers_are_kept.sql", "filter"),
        ("schemas/score/risk.py", "score"),
        ("tests/unit/report/test_page.py", "report"),
        ("pipeline/sample/prose.py", "sample"),
        ("tests/unit/test_sample.py", "sample"),
        ("schemas/backtest.py", "backtest"),
        ("sql/explain/find.sql", "inspect"),
        ("pipeline/run.py", "engine"),
        ("flows/runners.py", "engine"),
        ("README.md", "docs"),
        ("docs/ARCHITECTURE.md", "docs"),
        ("pipeline/a_room_that_is_gone/pairs.py", None),
        ("pipeline/errors.py", None),
        ("tests/e2e/test_cli.py", None),
        ("Makefile", None),
    ],
)
def test_a_changed_file_needs_the_unit_tests_of_its_room(changed, room):
    """Code, statements, schemas and tests of a room are all tested by the room's folder."""
    assert quick.room_of(changed) == room


def test_every_room_of_the_pipeline_has_unit_tests():
    """A folder of the pipeline without unit tests would be left out in silence."""
    rooms = [path.parent.name for path in (quick.ROOT / "pipeline").glob("*/__init__.py")]
    assert [room for room in rooms if quick.tests_of(room) is None] == []
    assert set(rooms) <= set(quick.every_room())


def test_what_no_room_has_is_told():
    """The rooms are named once, in order, and the other files are left."""
    rooms = ["sql/scan/pairs.sql", "pipeline/scan/words.py", "pipeline/text/sorting.py"]
    chosen = ["docs", "docstrings", "scan", "text"]
    assert quick.plan(["LICENSE", *rooms]) == (chosen, ["LICENSE"])
    assert quick.plan(["LICENSE"]) == ([], ["LICENSE"])


def test_a_room_that_is_unknown_is_refused_with_all_that_are_known():
    """A mistyped room is one message, and no test is run."""
    with pytest.raises(SystemExit, match=r"No unit tests of scann; rooms: .*\bscan\b"):
        quick.main(["scann"])
