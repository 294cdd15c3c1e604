"""What a scoring costs and says after a corpus has grown, by proxies that are kept or trained anew.

usage: python benchmarks/keeping.py CORPUS [--mb 5] [--shares 1,5,10,20] [--set NAME=VALUE]...
       [--out JSON] [--work FOLDER]

The first rows of a corpus in Parquet, in an order by chance, are dealt into a hundred files. Most
of them are scanned and scored; then the others are added, and a copy of the run is scored by the
proxies that there are, another by new ones. Told are CPU seconds of both, the share of the sample
that would be other text, and how far the forecasts of the same sequences are apart. Beside that
stands how far apart two trainings on the whole corpus are that differ in their seed alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import machine
from processes import command
from scipy.special import logit
from scipy.stats import spearmanr

FILES = 100
TARGET = ("target.parameters=2000000", "target.tokens=6000000")  # within ten times the ladder
KEEP, ANEW = "proxy.retrain_above=1", "proxy.retrain_above=0"


def deal(corpus: Path, out: Path, size: int) -> list[Path]:
    """Write rows of a corpus as a hundred files of `size` bytes of text in all; return them."""
    out.mkdir(parents=True)
    paths = sorted(corpus.glob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(path, columns=["text"]) for path in paths])
    order = np.random.Generator(np.random.PCG64(7)).permutation(rows.num_rows)
    lengths = np.array([len(text.encode()) for text in rows["text"].to_pylist()])[order]
    rows = rows.take(pa.array(order[: int(np.searchsorted(np.cumsum(lengths), size))]))
    each = -(-rows.num_rows // FILES)
    files = []
    for number in range(FILES):
        files.append(out / f"part-{number:02}.parquet")
        pq.write_table(rows.slice(number * each, each), files[-1], compression="zstd")
    return files


MORE: list[str] = []  # settings of all runs


def rote(*arguments: str, settings: tuple[str, ...]) -> tuple[float, float]:
    """Run a command; return wall and CPU seconds."""
    options = ["--local", *(f"--set={one}" for one in (*TARGET, *MORE, *settings))]
    used = command(*arguments, *options)
    return round(used.wall_s, 1), round(used.cpu_s, 1)


def facts(out: Path, stage: str) -> dict[str, Any]:
    """Return the facts of a stage."""
    manifest = json.loads((out / "manifest.json").read_bytes())
    return dict(manifest["outputs"][f"{stage}/all"]["facts"])


def risks(out: Path) -> dict[tuple[int, int], float]:
    """Return the log odds of each sequence, by document and first byte."""
    table = pq.read_table(out / "risk" / "all.parquet")
    odds = logit(np.clip(table["risk"].to_numpy(), 1e-9, 1 - 1e-9)).tolist()
    keys = zip(table["row_key"].to_pylist(), table["start_byte"].to_pylist(), strict=True)
    return dict(zip(keys, odds, strict=True))


def apart(one: Path, other: Path) -> dict[str, Any]:
    """Return how far the forecasts of two runs over the same shards are apart."""
    left, right = risks(one), risks(other)
    both = sorted(left.keys() & right.keys())
    a, b = (np.array([found[key] for key in both]) for found in (left, right))
    told = {}
    for name, out in (("one", one), ("other", other)):
        risk = facts(out, "risk")
        every = risk["expected"]["all"]
        told[name] = {
            "expected_share": every["expected_share"],
            "expected_share_95": every["expected_share_95"],
            "half_dose": risk["target"]["half_dose"],
            "half_dose_95": risk["target"]["half_dose_95"],
            "floor_of_families_95": risk["floor"]["rate_of_families_95"],
        }
    return {
        "sequences_of_both": len(both),
        "median_logits": round(float(np.median(np.abs(a - b))), 3),
        "mean_logits": round(float(np.mean(b - a)), 3),
        "order_agrees": round(float(spearmanr(a, b).statistic), 3),
        **told,
    }


def row(share: int, files: list[Path], work: Path) -> dict[str, Any]:
    """Measure one change."""
    corpus, kept, anew = (work / name for name in ("corpus", "kept", "anew"))
    for folder in (corpus, kept, anew):
        shutil.rmtree(folder, ignore_errors=True)
    corpus.mkdir()
    for path in files[share:]:
        shutil.copy2(path, corpus)
    rote("scan", str(corpus), "--out", str(kept), settings=(KEEP,))
    first = rote("score", str(kept), settings=(KEEP,))
    for path in files[:share]:
        shutil.copy2(path, corpus)
    rote("scan", str(corpus), "--out", str(kept), settings=(KEEP,))
    shutil.copytree(kept, anew)
    after = rote("score", str(kept), settings=(KEEP,))
    trained = rote("score", str(anew), settings=(ANEW,))
    return {
        "added": share,
        "share_changed": facts(kept, "sequences")["kept"]["share_changed"],
        "first_wall_cpu_s": first,
        "kept_wall_cpu_s": after,
        "anew_wall_cpu_s": trained,
        "apart": apart(kept, anew),
    }


def main() -> None:
    """Read the arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--mb", type=float, default=5.0)
    parser.add_argument("--shares", default="1,5,10,20")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    MORE.extend(asked.set)
    rows = []
    print("| added | share changed | kept: CPU s | anew: CPU s | median logits | order agrees |")
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(dir=asked.work) as name:
        work = Path(name)
        files = deal(asked.corpus, work / "files", round(asked.mb * 1e6))
        for share in map(int, asked.shares.split(",")):
            rows.append(row(share, files, work))
            one = rows[-1]
            print(
                f"| {share}% | {one['share_changed']:.3f} | {one['kept_wall_cpu_s'][1]} "
                f"| {one['anew_wall_cpu_s'][1]} | {one['apart']['median_logits']} "
                f"| {one['apart']['order_agrees']} |",
                flush=True,
            )
        other = work / "other"
        shutil.copytree(work / "anew", other)
        rote("score", str(other), settings=(ANEW, "proxy.seed=2"))
        seeds = apart(work / "anew", other)
        print(f"two seeds: {seeds['median_logits']} logits, order {seeds['order_agrees']}")
    record = {"machine": machine(), "corpus": asked.corpus.name, "mb": asked.mb, "set": asked.set}
    record["rows"] = rows
    if asked.out:
        asked.out.write_text(json.dumps({**record, "seeds": seeds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
