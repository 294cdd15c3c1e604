import doctest
import json

import numpy as np
import pytest
from datasketch import MinHash

from pipeline.config.sections import SketchConfig
from pipeline.engine.manifest import load_manifest, manifest_bytes
from pipeline.engine.tables import read_table
from pipeline.errors import ConfigError, IntegrityError, RunFolderError
from pipeline.scan import interchange
from pipeline.scan.signatures import signature_matrix
from schemas.scan.signatures import SIGNATURES

FIRST = " ".join(f"w{n}" for n in range(60))
TEXTS = [FIRST, f"{FIRST} more", " ".join(f"v{n}" for n in range(60)), "too short"]


@pytest.fixture
def run(tmp_path, make_corpus, scan):
    """Return a scanned run: near copies 0 and 1, another text, one too short for a signature."""
    corpus = make_corpus(tmp_path / "corpus", {"a.jsonl": TEXTS})
    scan(corpus, tmp_path / "run", filtered=False)
    return tmp_path / "run"


def stored(run):
    """Return row_key and signature of the rows of the run's table that have one."""
    table = read_table(sorted((run / "signatures").glob("*.parquet")), SIGNATURES)
    rows, values = signature_matrix(table["signature"].combine_chunks(), 126)
    return table["row_key"].to_numpy()[rows].tolist(), values


def test_the_example_of_the_docstring_runs(run, monkeypatch):
    """An index over the signatures of a small run finds its near copies, as documented."""
    monkeypatch.chdir(run.parent)
    (example,) = [
        found
        for found in doctest.DocTestFinder().find(interchange)
        if found.name.endswith("read_minhashes")
    ]
    assert len(example.examples) == 8
    assert doctest.DocTestRunner().run(example).failed == 0


def test_every_signature_of_the_table_comes_once_in_order(run):
    """Keys and values are those of the table; a document without a signature is left out."""
    keys, values = stored(run)
    found = list(interchange.read_minhashes(run))
    assert [key for key, _ in found] == keys == [0, 1, 2]
    assert [one.hashvalues.tolist() for _, one in found] == values.tolist()


def test_datasketch_estimates_what_the_signatures_say(run):
    """The estimate of datasketch is the share of equal values."""
    (_, first), (_, second), (_, third) = interchange.read_minhashes(run)
    _, values = stored(run)
    assert first.jaccard(second) == (values[0] == values[1]).mean()
    assert first.jaccard(second) == pytest.approx(56 / 57, abs=0.05)
    assert first.jaccard(third) < 0.05


@pytest.mark.parametrize(
    "other",
    [
        interchange.to_datasketch(np.zeros(126, np.uint32), SketchConfig(seed=2)),
        interchange.to_datasketch(np.zeros(126, np.uint32), SketchConfig(shingle_words=4)),
        MinHash(num_perm=126, scheme="affine32"),
    ],
    ids=["seed", "shingle", "datasketch"],
)
def test_hashes_of_another_kind_are_refused(run, other):
    """Datasketch compares no signatures of other settings, and none with its own hashes."""
    _, own = next(interchange.read_minhashes(run))
    with pytest.raises(ValueError, match="different seeds"):
        own.jaccard(other)


def test_a_signature_becomes_a_minhash_that_takes_more():
    """The seed is one that datasketch accepts for a MinHash, as its documentation proposes."""
    lean = interchange.to_datasketch(np.arange(126, dtype=np.uint32), SketchConfig())
    grown = MinHash(seed=lean.seed, hashvalues=lean.digest(), scheme=lean.scheme)
    assert grown.jaccard(lean) == 1.0


def test_a_folder_without_signatures_is_refused(tmp_path, run):
    """No run folder, a run without signatures and a change of settings are told apart."""
    with pytest.raises(RunFolderError):
        next(interchange.read_minhashes(tmp_path / "nothing"))
    path = run / "manifest.json"
    whole = path.read_text()

    def rewrite(old, new):
        path.write_bytes(manifest_bytes(json.loads(whole.replace(old, new, 1))))

    rewrite('"table": "signatures"', '"table": "other"')
    with pytest.raises(ConfigError, match="no signatures"):
        next(interchange.read_minhashes(run))
    assert load_manifest(run)["config"]["sketch"]["bands"] == 42
    rewrite('"bands": 42', '"bands": 41')
    assert load_manifest(run)["config"]["sketch"]["bands"] == 41
    with pytest.raises(IntegrityError, match="other settings"):
        next(interchange.read_minhashes(run))
