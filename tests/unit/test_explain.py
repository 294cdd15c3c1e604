from __future__ import annotations

from pathlib import Path

import pytest
from report_runs import make_run

from pipeline.errors import InputError
from pipeline.explain import explain


def test_a_near_copy_names_its_keeper_and_the_proof(tmp_path: Path) -> None:
    """Keeper, place, the integers of the Jaccard, and the one word that differs are told."""
    text = explain(make_run(tmp_path).folder, "near")
    assert (
        "REMOVED as a near copy (rule drop-copies)\n  what stays: long (a.parquet, row 0; source "
        "site)" in text
    )
    assert (
        "proof: exact Jaccard 0.8361: 51 shingles in both of 61 in either; the threshold is 0.8"
        in text
    )
    assert "Beside what stays (the first 30 words are the same)" in text
    assert "  here:  word25 word26 word27 word28 word29 «other» word31 word32" in text
    assert "  stays: word25 word26 word27 word28 word29 «word30» word31 word32" in text
    assert (
        "This exact text occurs once.\n  2 documents are near copies of it; its cluster holds 3 "
        "documents." in text
    )
    assert "not scored" in text


def test_an_exact_copy_is_proved_by_its_bytes(tmp_path: Path) -> None:
    """The same bytes need no Jaccard; the repeated span is shown with its byte range."""
    text = explain(make_run(tmp_path).folder, "copy")
    assert "REMOVED as an exact copy" in text
    assert "proof: the same bytes of text (128-bit hash)" in text
    assert "the same text, byte for byte" in text
    assert "This exact text occurs twice." in text
    assert "Its most repeated window of 50 words occurs twice." in text
    assert "100% of its words (60 of 60) lie in repeated windows." in text
    assert "bytes 0 to 409: 60 words, up to twice in 2 documents" in text


def test_a_kept_row_tells_what_it_stands_for(tmp_path: Path) -> None:
    """The keeper of two removed rows says so and names its closest other text."""
    text = explain(make_run(tmp_path).folder, "long")
    assert (
        "KEPT\n  It stays in the place of 2 removed rows.\n  closest other text: near, exact "
        "Jaccard 0.8361" in text
    )


def test_an_id_of_two_rows_tells_both(tmp_path: Path) -> None:
    """Duplicate ids are allowed; each row is explained, and how to name one is said."""
    folder = make_run(tmp_path).folder
    text = explain(folder, "twice")
    assert text.startswith("2 rows carry this id; name one of them as shard#row.")
    assert "b.parquet, row 2" in text
    assert "b.parquet, row 3" in text
    assert explain(folder, "b.parquet#3").count("KEPT") == 1


def test_hostile_text_and_ids_are_safe_on_a_terminal(tmp_path: Path) -> None:
    """No control or bidi character of a text reaches the terminal, and addresses are masked."""
    text = explain(make_run(tmp_path, scored=True).folder, "hostile")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "root@example.org" not in text
    assert "0.750 (95% interval 0.375 to 0.900), recited" not in text
    assert "0.750 (95% interval 0.375 to 0.900), from text that the proxies had not seen" in text


def test_an_unknown_id_suggests_close_ones(tmp_path: Path) -> None:
    """The error names up to three ids that resemble the one asked for."""
    with pytest.raises(InputError) as caught:
        explain(make_run(tmp_path).folder, "hostil")
    assert caught.value.expected == "for example hostile"
    assert caught.value.found == "hostil"


def test_a_run_that_was_not_filtered_still_explains(tmp_path: Path) -> None:
    """Before the filter there are counts but no decision, and the text says so."""
    text = explain(make_run(tmp_path, decided=False).folder, "copy")
    assert "NOT DECIDED" in text
    assert "This exact text occurs twice." in text


def test_stale_tables_are_left_out(tmp_path: Path) -> None:
    """Decisions older than the last scan are not told as if they held."""
    text = explain(make_run(tmp_path).folder, "copy", stale=("documents", "decisions"))
    assert "NOT DECIDED" in text


def test_an_exact_copy_has_the_risk_of_its_text(tmp_path: Path) -> None:
    """Sequences are listed once a text; a copy is told the risk and the passage of the first."""
    text = explain(make_run(tmp_path, scored=True).folder, "copy")
    assert "0.010 (95% interval 0.005 to 0.900)" in text
    assert "\N{LEFT DOUBLE QUOTATION MARK}word0 word1 word2" in text
