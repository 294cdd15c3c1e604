"""The page of docs/scale.md says what its records say."""

from benchmarks.scale import PAGE, TABLES, filled


def test_the_tables_of_the_page_are_those_of_the_records() -> None:
    """`python -m benchmarks.scale` leaves the page as it is, and every table is on it."""
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page
    assert all(page.count(f"<!-- made: {name} -->") == 1 for name in TABLES)
