"""Measure the forecast on a scored run: larger models, trained anew, against what was forecast.

    python benchmarks/forecast.py RUN [--shapes 7x160] [--seeds 2 3 4] [--out RESULT.json]

RUN is a finished `rote score`. For each shape (layers x width) and seed a target is trained once
over the very rows that the proxies were taught, plants included, in an order and with weights of
its own; then every family's sequences are forecast by what was fitted on other families. Rungs of
the ladder stand in as targets of the shorter ladders for nothing (they share seed and order with
the proxies, which is said). Results: a line for each (ladder, target, seed) and stratum.

Labels of a target enter nothing but the truth. Trainings that are there already are not repeated:
models are kept in RUN/forecast-benchmark/.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.engine.memory import workers_of
from pipeline.engine.run_folder import load_manifest, read_run, tables_of
from pipeline.engine.shards import active_shards
from pipeline.engine.stage import ALL, Work
from pipeline.engine.tables import read_table
from pipeline.score.forecast import features
from pipeline.score.forecast.features import ScoredPanel, read_panel
from pipeline.score.forecast.logistic import folds
from pipeline.score.forecast.risk import Basis, applied, law_of
from pipeline.score.forecast.scaling import CHOSEN, Law, Model, drawn_futures, log_odds
from pipeline.score.proxy.model import Shape
from pipeline.score.proxy.statistics import ProxyScorer
from pipeline.score.proxy.train import Schedule, train
from pipeline.score.sequences import plants
from pipeline.score.sequences.catalogue import COLUMNS, catalogue
from pipeline.score.sequences.sequences import Material, material, to_score
from pipeline.score.sequences.training_rows import token_rows
from pipeline.text.arrays import Flags, Float64, Int64
from schemas.scan.counts import COUNTS
from schemas.score.plants import PLANTS
from schemas.score.sequences import SEQUENCES

FOLDER = "forecast-benchmark"
TABLES = ("sequences", "plants", "models")
PRECISION = 0.9  # promised
LEAST_ROWS = 5


@dataclass(frozen=True)
class Truth:
    """What a target remembers of the panel and the plants.

    Attributes:
        name: of the target.
        seed: of its weights and order; 0 for a rung, which shares them with the proxies.
        parameters: without embeddings.
        memorized: of each row, (rows,).
        margin: least lead of a suffix token in nats, (rows,).
    """

    name: str
    seed: int
    parameters: int
    memorized: Flags
    margin: Float64


def main() -> int:
    """Train the targets, judge every forecast, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--shapes", nargs="*", default=["7x160"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[2, 3, 4])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    full = panel_of(asked.run)
    of, rows = material_of(asked.run)
    targets = [
        target(asked.run, of, rows, shape, seed) for shape in asked.shapes for seed in asked.seeds
    ]
    found = []
    for shorter, truths in ladders(full, targets):
        laws = laws_of(shorter, full)
        for truth in truths:
            others = [one for one in truths if one.name == truth.name and one.seed != truth.seed]
            for row in judged(laws, full, truth, others[0] if others else None):
                found.append(row)
                sys.stdout.write(line(row) + "\n")
                sys.stdout.flush()
    if asked.out:
        text = json.dumps({"run": asked.run.name, "rows": found}, indent=1) + "\n"
        asked.out.write_text(text, encoding="utf-8")
    return 0


def panel_of(run: Path) -> ScoredPanel:
    """Return the panel of a run with its plants."""
    manifest = load_manifest(run)
    records = manifest["outputs"]["sequences/all"]["files"]
    paths = {table: [run / r["path"] for r in records if r["table"] == table] for table in TABLES}
    about = json.loads(next(p for p in paths["models"] if p.name == "proxies.json").read_bytes())
    sequences = read_table(paths["sequences"], SEQUENCES)
    planted = read_table(paths["plants"], PLANTS)
    return read_panel(sequences, about["proxies"], planted)


def material_of(run: Path) -> tuple[Material, Int64]:
    """Return what the proxies of a run were trained on, and the rows to score, (rows, 65)."""
    config = load_config(base=load_manifest(run)["config"])
    work = work_on(run, config)
    known = catalogue(read_table(work.paths("counts"), COUNTS, list(COLUMNS)))
    of = material(work, known)
    scored = to_score(work, of)
    pairs = zip(scored.panel.document.tolist(), scored.panel.start_token.tolist(), strict=True)
    natural = [token_rows(scored.texts[n], np.array([start])) for n, start in pairs]
    planted = of.planted.tokens[of.planted.scored]
    return of, np.concatenate([*natural, planted])


def work_on(folder: Path, config: Config) -> Work:
    """Return a unit of work over a whole scanned run."""
    opened = read_run(folder)
    tables = tables_of(entry for _, entry in sorted(opened.manifest["outputs"].items()))
    shards = tuple(active_shards(opened.manifest))
    return Work(
        "forecast", ALL, folder, config, shards, tables, scan=opened.manifest["scan"],
        cores=workers_of(config), memory=1 << 30,
    )  # fmt: skip


def target(run: Path, of: Material, rows: Int64, shape: str, seed: int) -> Truth:
    """Return what a target of a shape remembers; it is trained unless it is there already."""
    layers, width = (int(part) for part in shape.split("x"))
    parameters = Shape(of.language.size, layers, width).parameters
    path = run / FOLDER / f"{shape}-{seed}.npz"
    if not path.is_file():
        config = load_config(base=load_manifest(run)["config"]).proxy
        taught, _ = plants.beside(of.learnt, of.planted)
        shuffled = taught[np.random.Generator(np.random.PCG64(seed)).permutation(len(taught))]
        schedule = Schedule(config.epochs, config.batch, config.rate, seed)
        begun = time.process_time()
        done = train(Shape(of.language.size, layers, width), shuffled, schedule)
        scores = ProxyScorer(done.model, "cpu").score(rows)
        path.parent.mkdir(exist_ok=True)
        np.savez(path, memorized=scores["memorized"], margin=scores["margin"], loss=done.loss)
        seconds = time.process_time() - begun
        sys.stderr.write(f"{shape} seed {seed}: {seconds:.0f} CPU s, loss {done.loss:.3f}\n")
    with np.load(path) as kept:
        return Truth(shape, seed, parameters, kept["memorized"], kept["margin"])


def ladders(full: ScoredPanel, targets: list[Truth]) -> Iterator[tuple[ScoredPanel, list[Truth]]]:
    """Yield each ladder of two sizes or more with all targets that are larger than its top."""
    sizes = full.of_role("ladder")
    rungs = [Truth(one.name, 0, one.parameters, one.memorized, one.margin) for one in sizes]
    for count in range(len(sizes), 1, -1):
        top = sizes[count - 1].parameters
        kept = tuple(one for one in full.proxies if one.role != "ladder" or one.parameters <= top)
        truths = [one for one in (*targets, *rungs) if one.parameters > top]
        if truths:
            yield replace(full, proxies=kept), truths


@dataclass(frozen=True)
class Laws:
    """What a ladder says, for each fold of families by what was fitted on the others.

    Attributes:
        panel: the rows with the proxies of the ladder.
        taught: which rows can be judged, (rows,).
        dose: times that a target is taught each, (rows,).
        inputs: features of each, (rows, features).
        folds: rows of a fold, its law and the futures chosen from it.
    """

    panel: ScoredPanel
    taught: Flags
    dose: Float64
    inputs: Float64
    folds: list[tuple[Int64, Law, Int64]]


def laws_of(of: ScoredPanel, full: ScoredPanel) -> Laws:
    """Return what a ladder says of each family by what was fitted on others."""
    taught = full.top.taught & np.isfinite(features.outside_log_p(of))
    dose, top = full.top.dose, of.top
    cases = features.unseen_cases(of)
    inputs = features.unseen_features(of, np.maximum(dose, 1e-9), top.parameters, top.tokens)
    own, of_row = folds(cases.family), folds(of.family)
    found = []
    for fold in np.unique(of_row[taught]).tolist():
        basis = Basis("unseen", features.UNSEEN, cases.where(own != fold), inputs, taught)
        law = law_of(basis, of, 1)
        rows = np.flatnonzero(taught & (of_row == fold))
        found.append((rows, law, drawn_futures(law, 1)))
    return Laws(of, taught, dose, inputs, found)


def judged(
    of: Laws, full: ScoredPanel, truth: Truth, other: Truth | None
) -> Iterator[dict[str, Any]]:
    """Yield a row of results for each stratum: forecast and truth of families left out."""
    panel, dose = of.panel, of.dose
    risk, drawn = held_out(of, Model(truth.parameters, panel.top.tokens))
    natural = panel.natural
    strata = {
        "natural, once": natural & (dose == 1),
        "natural, 2 to 7": natural & (dose > 1) & (dose < 8),
        "natural, 8 and more": natural & (dose >= 8),
        "natural, weighted": natural,
        "plants": panel.planted,
        "all": natural | panel.planted,
    }
    about = {
        "ladder": [one.name for one in panel.of_role("ladder")],
        "target": truth.name,
        "seed": truth.seed or "the proxies'",
        "times": round(truth.parameters / panel.top.parameters, 2),
    }
    for name, inside in strata.items():
        rows = inside & of.taught
        if rows.sum() >= LEAST_ROWS:
            weight = panel.weight[rows] if name.endswith("weighted") else np.ones(int(rows.sum()))
            yield {
                **about,
                "stratum": name,
                **measures(risk[rows], drawn[:, rows], truth.memorized[rows], weight),
                **ranks(risk, dose, truth, other, rows, full.family),
            }


def held_out(of: Laws, model: Model) -> tuple[Float64, Float64]:
    """Return risk and its draws, each family by the law of others, (rows,) and (draws, rows)."""
    size = len(of.dose)
    risk, drawn = np.full(size, np.nan), np.full((CHOSEN, size), np.nan)
    for rows, law, chosen in of.folds:
        risk[rows] = expit(applied(law, chosen, of.inputs[rows], model)[:, 0])
        drawn[:, rows] = expit(log_odds(law, chosen, of.inputs[rows], model))
    return risk, drawn


def measures(risk: Float64, drawn: Float64, truth: Flags, weight: Float64) -> dict[str, Any]:
    """Return shares with their interval, and skill beside that of an oracle recalibration."""
    observed = float(np.average(truth, weights=weight))
    share = np.average(drawn, axis=1, weights=weight)
    low, high = np.quantile(share, (0.025, 0.975))
    skill = brier_skill(risk, truth, weight)
    return {
        "sequences": len(truth),
        "observed": round(observed, 5),
        "expected": round(float(np.average(risk, weights=weight)), 5),
        "expected_95": [round(float(low), 5), round(float(high), 5)],
        "holds": bool(low <= observed <= high),
        "brier_skill": skill,
        "oracle_brier_skill": brier_skill(recalibrated(risk, truth, weight), truth, weight),
    }


def brier_skill(risk: Float64, truth: Flags, weight: Float64) -> float | None:
    """Return 1 - Brier score over that of the base rate; None where nothing varies."""
    base = np.average(truth, weights=weight)
    if not 0 < base < 1:
        return None
    return round(
        float(1 - np.average((risk - truth) ** 2, weights=weight) / (base * (1 - base))), 4
    )


def recalibrated(risk: Float64, truth: Flags, weight: Float64) -> Float64:
    """Return the risk after a line in log odds that was fitted to the truth itself: an oracle."""
    if truth.all() or not truth.any():
        return np.full(len(truth), float(truth.mean()))
    given = logit(np.clip(risk, 1e-9, 1 - 1e-9))[:, None]
    fitted = LogisticRegression(C=1e6).fit(given, truth, sample_weight=weight)
    return np.asarray(fitted.predict_proba(given)[:, 1])


def ranks(
    risk: Float64,
    dose: Float64,
    truth: Truth,
    other: Truth | None,
    rows: Flags,
    family: Int64,
) -> dict[str, Any]:
    """Return average precision beside log count and the other seed's margin, and a kept promise."""
    label = truth.memorized[rows]
    if label.all() or not label.any():
        return {}
    found = {
        "average_precision": round(float(average_precision_score(label, risk[rows])), 4),
        "of_count": round(float(average_precision_score(label, dose[rows])), 4),
        "precision_promised_0.9": promise(risk[rows], label, family[rows]),
    }
    if other is not None:
        ceiling = float(average_precision_score(label, other.margin[rows]))
        gained = found["average_precision"] - found["of_count"]
        way = ceiling - found["of_count"]
        found["of_other_seed"] = round(ceiling, 4)
        found["share_of_the_way"] = round(gained / way, 3) if way > 0.01 else None
    return found


def promise(risk: Float64, truth: Flags, family: Int64) -> float | None:
    """Return the precision of a threshold that other families promise PRECISION with.

    The threshold of a fold is the least risk above which the mean risk of the other folds' rows
    reaches the promised precision: no label of a target is asked.
    """
    fold = folds(family)
    called = np.zeros(len(risk), np.bool_)
    for number in np.unique(fold).tolist():
        others = np.sort(risk[fold != number])[::-1]
        mean = np.cumsum(others) / np.arange(1, len(others) + 1)
        enough = np.flatnonzero(mean >= PRECISION)
        if len(enough):
            called |= (fold == number) & (risk >= others[enough[-1]])
    return round(float(truth[called].mean()), 4) if called.any() else None


def line(row: dict[str, Any]) -> str:
    """Return a row of results for the terminal."""
    low, high = row["expected_95"]
    held = "" if row["holds"] else " outside"
    text = (
        f"{row['ladder'][-1]} -> {row['target']} ({row['times']}x, seed {row['seed']}) "
        f"{row['stratum']}: {row['sequences']} sequences, observed {row['observed']:.4f}, "
        f"expected {row['expected']:.4f} [{low:.4f}, {high:.4f}]{held}, "
        f"skill {row['brier_skill']} of {row['oracle_brier_skill']}"
    )
    if "average_precision" in row:
        text += (
            f", AP {row['average_precision']} (count {row['of_count']}, other seed "
            f"{row.get('of_other_seed')}, way {row.get('share_of_the_way')}), "
            f"0.9 promised {row['precision_promised_0.9']}"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
