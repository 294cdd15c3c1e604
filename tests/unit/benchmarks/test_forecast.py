"""The benchmark of the forecast: what a released panel knows is not trained again."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.forecast import known_truths


@pytest.fixture
def panel(tmp_path):
    """Return the path of a panel of two sequences and one target."""
    columns = {
        **{name: [3, 4] for name in ("unit", "taught", "suffix_count", "rarest_count")},
        "weight": [1.5, 0.0],
        "target_7x160_s3_memorized": [True, False],
        "target_7x160_s3_log_p": pa.array([-0.5, -9.0], pa.float32()),
        "target_7x160_s3_margin": pa.array([2.0, -3.0], pa.float32()),
    }
    about = {
        "p0": {"role": "ladder", "parameters": 9},
        "target_7x160_s3": {"role": "target", "parameters": 45},
    }
    table = pa.table(columns).replace_schema_metadata({"models": json.dumps(about)})
    pq.write_table(table, tmp_path / "panel.parquet")
    return tmp_path / "panel.parquet"


def run_of(*unit):
    """Return as much of a back-test as is asked for: what its sequences are."""
    counts, weight = np.array([3.0, 4.0]), np.array([1.5, 0.0])
    of = SimpleNamespace(
        top=SimpleNamespace(dose=counts), weight=weight, suffix=counts, rarest=counts
    )
    return SimpleNamespace(subject=SimpleNamespace(unit=np.array(unit), panel=of))


def test_a_target_of_a_released_panel_is_known_by_its_training(panel):
    """Its seed, size, labels and numbers are those of the panel."""
    [(name, found)] = known_truths(run_of(3, 4), panel).items()
    assert name == "target-7x160-s3"
    assert (found.model, found.seed, found.parameters) == ("7x160", 3, 45)
    assert found.memorized.tolist() == [True, False]
    assert found.margin.tolist() == [2.0, -3.0]
    assert found.log_p.tolist() == [-0.5, -9.0]


def test_a_panel_of_other_sequences_is_refused(panel):
    """The column that differs is named."""
    with pytest.raises(ValueError, match="unit differs"):
        known_truths(run_of(3, 5), panel)
