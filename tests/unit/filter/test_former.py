"""Rows that stayed in the filter of an earlier scan stay in place of their copies, if asked for."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.dry_run import preview
from pipeline.engine.manifest import saved_config
from pipeline.engine.stage import Work
from pipeline.filter.former import with_stayed
from schemas.filter.former import FORMER

STABLE = "near.keepers=stable"
SHORT = " ".join(f"word{n}" for n in range(60))
LONG = f"{SHORT} and one"
OTHER = " ".join(f"other{n}" for n in range(60))


def kept(done):
    """Return the texts that no copy took the place of."""
    return {name for name, keeper in done.rows("documents", "doc_id", "keeper") if keeper is None}


def otherwise(done):
    """Return how many rows were decided otherwise than the best would be; None if not asked."""
    return done.manifest["outputs"]["documents/all"]["facts"].get("stable_otherwise")


def rows(**texts):
    """Return rows by their ids."""
    return [{"id": name, "text": text} for name, text in texts.items()]


@pytest.fixture
def grown(tmp_path, make_corpus, scan):
    """Give a function that scans a corpus before and after a longer near copy has come."""

    def grow(*settings):
        make_corpus(tmp_path / "c", {"a.jsonl": rows(a=SHORT), "b.jsonl": rows(b=OTHER)})
        scan(tmp_path / "c", tmp_path / "run", *settings)
        make_corpus(tmp_path / "c", {"c.jsonl": rows(c=LONG)})
        return scan(tmp_path / "c", tmp_path / "run", *settings)

    return grow


def test_a_row_that_stayed_stays_until_it_is_gone(grown, tmp_path, scan):
    """The longer copy would stay by `near.keep`; what stayed is noted once a scan."""
    done = grown(STABLE)
    assert (kept(done), otherwise(done)) == ({"a", "b"}, 2)
    assert scan(tmp_path / "c", tmp_path / "run", STABLE).performed == []
    (tmp_path / "c" / "a.jsonl").unlink()
    done = scan(tmp_path / "c", tmp_path / "run", STABLE)
    assert (kept(done), otherwise(done)) == ({"b", "c"}, 0)


def test_without_the_setting_the_best_stays(grown):
    """And nothing is remembered."""
    done = grown()
    assert (kept(done), otherwise(done)) == ({"b", "c"}, None)
    assert not (done.folder / "former").exists()


def test_another_text_in_its_row_is_another_row(tmp_path):
    """A row stays by its key and its text: one that was written anew has no claim."""
    texts = [bytes([n]) * 16 for n in range(4)]
    then = pa.table({"row_key": [1, 2, 5], "text_hash": texts[:3]}, FORMER)
    pq.write_table(then, tmp_path / "former.parquet")
    now = pa.table({"row_key": [0, 1, 2, 5, 6], "text_hash": [texts[n] for n in (0, 0, 3, 2, 2)]})
    now = now.cast(FORMER)
    work = Work("documents", "all", tmp_path, Config(), (), {"former": ("former.parquet",)})
    assert with_stayed(work, now)["stayed"].to_pylist() == [False, True, False, True, False]
    nothing = Work("documents", "all", tmp_path, Config(), (), {})
    assert with_stayed(nothing, now) is now


@pytest.mark.slow
def test_other_settings_in_between_leave_no_trace(grown, tmp_path, scan):
    """A filter with another threshold keeps all; the one after it decides as before."""
    before = grown(STABLE).table("documents")
    other = scan(tmp_path / "c", tmp_path / "run", STABLE, "near.threshold=0.99")
    assert kept(other) == {"a", "b", "c"}
    assert "former/all" not in other.performed
    again = scan(tmp_path / "c", tmp_path / "run", STABLE)
    assert again.table("documents").equals(before)


@pytest.mark.slow
def test_what_keep_n_leaves_are_rows_that_stayed(grown):
    """The rule chooses by the same rank."""
    done = grown(STABLE, 'policy.rules=["keep-n"]', "policy.keep=1")
    names = [name for (name,) in done.rows("documents", "doc_id")]
    fates = [action for (action,) in done.rows("decisions", "action")]
    stays = {name for name, action in zip(names, fates, strict=True) if action == "keep"}
    assert stays == {"a", "b"}


@pytest.mark.slow
def test_a_preview_knows_what_stayed(grown, tmp_path, make_corpus, scan):
    """Before the filter of a new scan, and after it, with nothing written."""
    grown(STABLE)
    make_corpus(tmp_path / "c", {"d.jsonl": rows(d=f"{LONG} and two")})
    scan(tmp_path / "c", tmp_path / "run", STABLE, filtered=False)
    config = load_config(base=saved_config(tmp_path / "run"))
    told = preview(tmp_path / "run", config)
    done = scan(tmp_path / "c", tmp_path / "run", STABLE)
    assert told is not None
    assert told["reasons"] == done.manifest["outputs"]["decisions/all"]["facts"]["reasons"]
    assert preview(tmp_path / "run", config) == told
    assert kept(done) == {"a", "b"}
