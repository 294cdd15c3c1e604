"""What scored runs of natural corpora say: is there a forecast, on what does it rest, what is it.

    python benchmarks/natural.py RUN... [--out RESULT.json]

Each RUN is a finished `rote score` with default settings. A row for each: size of the corpus,
repeats in it, families and plants that the largest proxy memorized, the share of text that occurs
once that a model of a billion parameters is expected to recite, beside the floor of this run, and
the numbers of occurrences at which half is recited.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pipeline.engine.run_folder import load_manifest

ONCE = "unseen that occur once"


def main() -> int:
    """Print a line for each run and write all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = [row_of(run) for run in asked.runs]
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")
    if asked.out:
        asked.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def row_of(run: Path) -> dict[str, Any]:
    """Return what a run says."""
    manifest = load_manifest(run)
    outputs = manifest["outputs"]
    risk, sequences = (outputs[f"{name}/all"]["facts"] for name in ("risk", "sequences"))
    documents = sum(shard["documents"] for shard in manifest["corpus"]["shards"] if shard["active"])
    tokens, per_token = sequences["corpus_tokens"], sequences["bytes_per_token"]
    once = (risk.get("expected") or {}).get(ONCE, {})
    models = (risk.get("outlook") or {}).get("models", [])
    return {
        "corpus": run.name,
        "megabytes": round(tokens * per_token / 1e6, 1),
        "documents": documents,
        "repeated_sequences_trained": risk["base_rate"]["sequences"],
        "forecast": risk["fitted"],
        "families_memorized": risk["base_rate"]["families_memorized"],
        "plants_memorized": risk["plants_memorized"],
        "floor_memorized": risk["floor"]["families_memorized"],
        "floor_families": risk["floor"]["families"],
        "floor_95": risk["floor"]["rate_of_families_95"],
        "once_expected_95": once.get("expected_share_95"),
        "half_dose": {f"{row['parameters_in_all']:.0e}": row["half_dose_95"] for row in models},
    }


if __name__ == "__main__":
    sys.exit(main())
