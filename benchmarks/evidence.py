"""Write docs/evidence.md from recorded results: what the forecast said, and what came of it.

    python benchmarks/evidence.py

Reads benchmarks/results/forecast-*.json (python benchmarks/forecast.py RUN ... --out),
natural-*.json (python benchmarks/natural.py RUN... --out), removal-*.json (python
benchmarks/removal.py RUN --out) and widths-*.json (python benchmarks/widths.py
RUN --out). Figures are theirs, words are here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "evidence.md"
Row = dict[str, Any]
FEW_UNITS = 10  # with something memorized: fewer give an interval no width worth the name
OWN, PACKED = "its own", " packed"
CORPORA = {
    "lm": "English prose without near copies",
    "lm1": "the first 1 MB of lm",
    "changelog1": "changelogs of a Linux distribution, 1 MB",
    "cmake1": "modules of a build tool, 1 MB",
    "copyright1": "copyright files of a Linux distribution, 1 MB",
    "dev1": "the first 1 MB of dev",
    "headers1": "C and C++ headers, 1 MB",
    "html1": "documentation as HTML, 1 MB",
    "man1": "manual pages, as groff, 1 MB",
    "md1": "notes of installed packages, 1 MB",
    "perl1": "Perl sources, 1 MB",
    "py1": "Python sources, 1 MB",
    "rst1": "help pages of a build tool and of a cloud client, 1 MB",
    "vim1": "help and scripts of an editor, 1 MB",
    "dev": "prose, documentation, licences, books, poems, code",
    "man": "manual pages, as groff",
    "tldr": "short manuals of commands, many languages",
    "copyright": "copyright files of a Linux distribution",
    "peps": "Python enhancement proposals",
    "headers": "C and C++ headers",
    "rfcs": "design documents of a language",
    "py": "Python sources (constants were chosen on it)",
    "perl": "Perl sources (constants were chosen on it)",
    "installed": "text installed on a machine, 4 MB each of Perl, Python, headers, manual pages, documentation, tools' files, Rust",
    "planted": "the first 6 MB of lm, and 48 passages of 400 characters of its last shard as documents of their own, 32, 64 or 128 times each",
    "vim": "help and scripts of an editor (constants were chosen on it)",
    "md": "notes of installed packages (constants were chosen on it)",
}
ORDER = ("natural, once", "natural, 2 to 7", "natural, 8 and more", "natural, weighted", "plants",
         "all")  # fmt: skip
HEAD = """# Evidence

What the forecast says beside what came of it. This page is written by `python benchmarks/evidence.py`
from the records in `benchmarks/results/`; under each table is the command that makes its record. The
words are in [glossary.md](glossary.md), the method in [forecast.md](forecast.md) and
[backtest.md](backtest.md). Constants of the forecast were chosen on other text (6 MB each of Python and
Perl sources, of an editor's help and of packages' notes, from what is installed on a machine, with a
target each) and then measured here; one, for models far beyond the ladder, was changed afterwards by a
test of sanity ([LOG](LOG.md)), which moved no figure of these targets by more than a tenth. All on 2
shared cores without a GPU: the largest target has {largest} million parameters. `benchmarks/results/panel-*.parquet` has what the tables of dev and lm are made
of, a row for each sequence: counts, what every proxy and target remembers of it, the forecasts.
"""


def main() -> None:
    """Write the page."""
    natural = [row for path in _records("natural") for row in _read(path)["rows"]]
    forecasts = {path: _read(path) for path in _records("forecast")}
    largest = max(
        model["parameters"] for record in forecasts.values() for model in record["models"]
    )
    parts = [HEAD.format(largest=f"{largest / 1e6:.1f}"), _answers(natural)]
    for path, record in _latest(forecasts).items():
        parts.append(_targets(path, record))
    parts.append(_promises(_latest(forecasts)))
    parts.append(_intervals(forecasts))
    parts += [_packed(run, forecasts) for run in _runs(forecasts.values())]
    parts.append(_removal({path: _read(path) for path in _records("removal")}))
    parts += [_widths(path, _read(path)) for path in _records("widths")]
    parts.append(_reading())
    PAGE.write_text("\n".join(filter(None, parts)), encoding="utf-8")


def _records(kind: str) -> list[Path]:
    return sorted(RESULTS.glob(f"{kind}-*.json"))


def _runs(records: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(record["run"] for record in records))


def _latest(records: Mapping[Path, Row]) -> dict[Path, Row]:
    """Return the last record of each run and shape of its targets; names end in their dates."""
    found: dict[tuple[str, str], Path] = {}
    for path, record in records.items():
        shapes = {row["target"] for row in record["rows"] if row["order"] == OWN}
        found[record["run"], " ".join(sorted(one for one in shapes if PACKED not in one))] = path
    return {path: records[path] for path in found.values()}


def _read(path: Path) -> Row:
    found: Row = json.loads(path.read_text(encoding="utf-8"))
    return found


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def _answers(rows: Sequence[Row]) -> str:
    """Return the section on corpora of all kinds: is there a forecast, on what does it rest."""
    lines = [
        [
            f"{row['corpus']}: {CORPORA.get(row['corpus'], '')}",
            f"{row['megabytes']:.1f}",
            f"{row['documents']:,}",
            row["families_memorized"],
            row["plants_memorized"],
            "yes" if row["forecast"] else "**no**",
            f"{row['floor_memorized']} of {row['floor_families']}, up to {row['floor_95'][1]:.1%}",
            _share(row["once_expected_95"]),
            _ends(row["half_dose"].get("1e+09")),
        ]
        for row in sorted(rows, key=lambda row: str(row["corpus"]))
    ]
    head = ("corpus", "MB", "documents", "families memorized", "plants memorized", "forecast",
            "floor (families)", "once, 1 B parameters", "half dose, 1 B")  # fmt: skip
    enough = sum(row["forecast"] for row in rows)
    small = sum(row["forecast"] and row["megabytes"] < 2 for row in rows)
    return f"""
## An answer on every corpus

{enough} of {len(rows)} natural corpora have a forecast with default settings, {small} of them of 1 MB. "Families memorized" is what the largest proxy
recited of repeated text of the corpus itself: before there were plants, 30 of these were needed. "Once" is the share of text that
occurs once that a model of a billion parameters and 20 billion tokens is expected to recite (95%), "floor" what the largest proxy
recited of families that it never saw, "half dose" at how many occurrences half is recited. Corpora of 1 MB of installed files are whole files of
500 to 60,000 bytes in the order of a hash of their path.

{_table(head, lines)}
`rote scan CORPUS --out RUN && rote score RUN` for each, then `python benchmarks/natural.py RUN... --out ...`
"""


def _targets(path: Path, record: Row) -> str:
    """Return the section on the targets of one run, its own orders first."""
    rows = [row for row in record["rows"] if row.get("score", "unseen") == "unseen"]
    own = [row for row in rows if row["order"] == OWN and PACKED not in row["target"]]
    if not own:
        return ""
    most = max(len(row["ladder"].split()) for row in own)
    lines = []
    for ladder, title in ((most, "the whole ladder"), (most - 1, "without its largest proxy")):
        for stratum in ORDER:
            part = [
                row for row in own
                if len(row["ladder"].split()) == ladder and row["stratum"] == stratum
            ]  # fmt: skip
            if part:
                lines.append(_target_line(title, stratum, part))
    head = ("ladder", "stratum", "sequences", "observed", "expected", "interval", "holds",
            "skill of oracle's", "AP: count, forecast, other seed", "of the way")  # fmt: skip
    seeds = len({row["seed"] for row in own})
    return f"""
## Targets of another order: {record["run"]}, {_mean(_whole(own), "times"):.0f} times the ladder

{seeds} targets of {own[0]["target"]} (layers x width), trained once on the run's own rows in an order and with
weights of their own; each family is forecast by what was fitted on others. Means over the seeds; the interval is what would be
observed in so many sequences, "holds" in how many of the seeds. The ceiling of AP is the least margin in the target of another
seed, "of the way" how much of it from the count to there the forecast goes.{_known(record)}

{_table(head, lines)}
`{_command(path, record, sorted({row["seed"] for row in own}))}`
"""


def _target_line(title: str, stratum: str, part: Sequence[Row]) -> list[str]:
    """Return the line of one stratum, over the seeds."""
    times = _mean(part, "times")
    least = min(row["drawn_95"][0] for row in part)
    most = max(row["drawn_95"][1] for row in part)
    ranked = [row for row in part if row.get("average_precision") is not None]
    skill = [row for row in part if row.get("brier_skill") is not None]
    return [
        f"{title}, {times:.1f}x",
        stratum,
        str(part[0]["sequences"]),
        f"{_mean(part, 'observed'):.2%}",
        f"{_mean(part, 'expected'):.2%}",
        f"{least:.2%} to {most:.2%}",
        f"{sum(row['holds_drawn'] for row in part)} of {len(part)}",
        f"{_mean(skill, 'brier_skill'):.2f} of {_mean(skill, 'oracle_brier_skill'):.2f}"
        if skill
        else "",
        f"{_mean(ranked, 'of_count'):.3f}, {_mean(ranked, 'average_precision'):.3f}, "
        + (
            ""
            if math.isnan(_mean(ranked, "of_other_seed"))
            else f"{_mean(ranked, 'of_other_seed'):.3f}"
        )
        if ranked
        else "",
        _way(ranked),
    ]


def _way(rows: Sequence[Row]) -> str:
    """Return the share of the way from the count's average precision to the other seed's."""
    known = [row for row in rows if row.get("share_of_the_way") is not None]
    return f"{_mean(known, 'share_of_the_way'):.2f}" if known else ""


def _whole(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the longest ladder."""
    most = max(len(row["ladder"].split()) for row in rows)
    return [row for row in rows if len(row["ladder"].split()) == most]


def _known(record: Row) -> str:
    """Return where targets of a record come from that were not trained for it."""
    if not record.get("known"):
        return ""
    return f" Targets that `{record['known']}` has were trained before, by the record of that date."


def _promises(records: Mapping[Path, Row]) -> str:
    """Return the section on promised precisions: what came of what was called."""
    lines, told = [], {}
    for path, record in records.items():
        rows = [r for r in record["rows"] if "called_at_that" in r and r.get("score") == "unseen"]
        own = [r for r in rows if r["order"] == OWN and PACKED not in r["target"]]
        for stratum in ("natural, 8 and more", "plants", "all"):
            for most in (4, 3):
                part = [
                    row for row in own
                    if row["stratum"] == stratum and len(row["ladder"].split()) == most
                ]  # fmt: skip
                if part:
                    lines.append(_promise_line(record["run"], stratum, part))
                    told[path] = record
    if not lines:
        return ""
    head = ("corpus", "target", "stratum", "seeds", "0.5 promised", "0.75", "0.9", "called at 0.9",
            "recall at 0.9")  # fmt: skip
    return f"""
## Promised precision

A sequence is called when its own risk is the promise or more, and none where fewer units than p / (1 - p) are called in the folds of
others ([backtest.md](backtest.md)). Before, a threshold was chosen above which the mean risk of other families is the promise: it missed .9 on dev by
7 points, since a family of many sequences of a lesser risk was called with it. The rule was chosen on 1 MB each of Python and Perl sources, of an editor's help, of packages'
notes and of headers, with a target each, and then measured here once. A precision at or above its promise holds it.

{_table(head, lines)}
{_commands(told)}
"""


def _promise_line(run: str, stratum: str, part: Sequence[Row]) -> list[str]:
    """Return the line of one stratum and ladder, means over the seeds."""
    kept = [
        f"{_mean(part, key):.2f}"
        if any(row.get(key) is not None for row in part)
        else "none called"
        for key in ("precision_promised_0.5", "precision_promised_0.75", "precision_promised_0.9")
    ]
    called = f"{_mean(part, 'called_at_that'):.0f} of {part[0]['sequences']:,}"
    target = f"{part[0]['target']}, {part[0]['times']:.1f}x"
    recall = f"{_mean(part, 'recall_at_that'):.2f}" if part[0].get("memorized") else ""
    return [run, target, stratum, str(len(part)), *kept, called, recall]


def _intervals(records: Mapping[Path, Row]) -> str:
    """Return the section on intervals over all triples of ladder, target and seed.

    A run that several records are of has its rungs in each of them: they count once.
    """
    once = {
        (record["run"], row["ladder"], row["target"], row["seed"], row["stratum"]): row
        for record in records.values()
        for row in record["rows"]
        if row.get("score", "unseen") == "unseen" and PACKED not in row["target"]
    }
    rows = list(once.values())
    lines = []
    for order, title in ((OWN, "an order of their own"), ("the proxies'", "the proxies' order")):
        for stratum in ORDER:
            part = [
                r for r in rows if r["stratum"] == stratum and (r["order"] == OWN) == (order == OWN)
            ]
            if part:
                held = sum(row["holds_drawn"] for row in part)
                lines.append([title, stratum, len(part), f"{held} ({held / len(part):.0%})"])
    return f"""
## Intervals over all triples of ladder, target and seed

Every rung of a ladder is also a target of the shorter ladders; it shares seed and order with the proxies, which is easier, so these
stand apart.

{_table(("targets with", "stratum", "triples", "95% intervals that hold"), lines)}
{_commands(records)}
"""


def _packed(run: str, records: Mapping[Path, Row]) -> str:
    """Return the section on targets that were trained as people train, beside the same ones.

    Args:
        run: name of the corpus.
        records: of all; those of a corpus may have different seeds, and the later one counts.
    """
    of_run = {path: record for path, record in records.items() if record["run"] == run}
    every = {
        (row["ladder"], row["target"], row["seed"], row["stratum"]): row
        for record in of_run.values()
        for row in record["rows"]
        if row["score"] == "unseen" and row["order"] == OWN
    }
    shapes = {target.removesuffix(PACKED) for _, target, _, _ in every if PACKED in target}
    rows = [row for row in every.values() if row["target"].removesuffix(PACKED) in shapes]
    most = max((len(row["ladder"].split()) for row in rows), default=0)
    rows = [row for row in rows if len(row["ladder"].split()) == most]
    lines = []
    for stratum in ORDER:
        packed = [r for r in rows if r["stratum"] == stratum and PACKED in r["target"]]
        asked = {row["seed"] for row in packed}
        alone = [
            r for r in rows
            if r["stratum"] == stratum and PACKED not in r["target"] and r["seed"] in asked
        ]  # fmt: skip
        if packed and packed[0]["memorized"] + alone[0]["memorized"]:
            lines.append([stratum, packed[0]["sequences"], f"{_mean(alone, 'expected'):.2%}",
                          f"{_mean(alone, 'observed'):.2%}", f"{_mean(packed, 'observed'):.2%}"])  # fmt: skip
    if not lines:
        return ""
    seeds = sorted({row["seed"] for row in rows if PACKED in row["target"]})
    head = ("stratum", "sequences", "expected", "observed, sequences alone", "observed, packed")
    return f"""
## Targets trained on packed windows: {run}

Proxies and targets are taught single sequences behind an EOS, as they are asked for. The same targets (seeds {", ".join(map(str, seeds))}) trained
as people train, on windows of 256 tokens cut from whole documents one after another, recite less of the same sequences: there a sequence
stands behind other text, or is cut in two. The forecast is of the first; for a target of packed windows it is too high by as much.

{_table(head, lines)}
{_commands(of_run)}
"""


def _removal(records: dict[Path, Row]) -> str:
    """Return the section on how much each policy must remove, found by training."""
    if not records:
        return ""
    parts = [
        """
## How much must go

Which share of the tokens each policy takes, families whole or not at all, until the target memorizes 2, 5 and 10 times less of the
sample's own text, in one epoch, refilled to as many tokens. "Counted" is that share on the plain target's labels, untrained. "Trained" is the
least share of an arm that was enough with the first seed, "too little" the largest below it that was not. "Left" is which part
of the memorized still is in that arm, over all seeds, with its interval, and with how many seeds it is enough: the first one chose the share. Plants
stay in every arm and are in none of these figures but their own. What a model recites that was never taught its unit is guessed, and in no figure either
but its own ([backtest.md](backtest.md)).
"""
    ]
    for path, record in records.items():
        parts += [_removal_of(record), _removal_arms(record), _removal_command(path, record)]
    return "\n".join(parts)


def _removal_of(record: Row) -> str:
    """Return what each policy must take, and what the run's own filter takes."""
    lines = [
        [
            row["policy"],
            f"{row['times_less']}x",
            _percent(row["share_counted"]),
            _percent(row["share_of_tokens"]) or "**none was enough**",
            _percent(row["share_too_small"] or None) or "none tried",
            _left(row),
            f"{row['seeds_enough']} of {row['seeds']}" if row["seeds"] else "",
            f"{row['loss_target']:.3f}" + (f", {row['loss_arm']:.3f}" if row["loss_arm"] else ""),
        ]
        for row in record["removal"]
    ]
    for row in record["removal_arms"]:
        if row["policy"] == "filter" and row["rows"] == "natural":
            less = row["memorized_target"] / row["memorized_arm"] if row["memorized_arm"] else 0
            lines.append(
                [
                    f"filter, seed {row['seed']}",
                    f"{less:.1f}x" if less else "all",
                    "",
                    _percent(row["share_of_tokens"]),
                    "",
                    _left(row),
                    "",
                    f"{row['loss_target']:.3f}, {row['loss_arm']:.3f}",
                ]
            )
    few = (
        ", so the intervals are of few: where none is left they have no width, and say nothing of another unit"
        if record["units_memorized"] < FEW_UNITS
        else ""
    )
    head = ("policy", "less memorized", "counted", "trained", "too little", "left (95%)",
            "seeds", "held-out loss: target, arm")  # fmt: skip
    return f"""### {record["corpus"]}: {CORPORA.get(record["corpus"], "")}

A target of {record["parameters"]:,} parameters and {record["rows"]:,} rows of 64 tokens of the sample, {record["distinct_rows"]:,} of them distinct. It memorizes
{record["memorized"]:,} of these, in {record["units_memorized"]} of {record["units"]} units (families that hold the same text){few}. {_guessed(record)}

{_table(head, lines)}"""


def _guessed(record: Row) -> str:
    """Return how many sequences are recited without having been seen."""
    if "guessed" not in record:
        return "What can be guessed was not told apart in this record."
    return f"{record['guessed'] or 'None'} of all are recited by a model that never saw their unit."


def _removal_arms(record: Row) -> str:
    """Return what is memorized in some arms by times taught, over their seeds."""
    arms: dict[tuple[str, float], dict[str, list[int]]] = {}
    for row in record["removal_arms"]:
        own = arms.setdefault((row["policy"], row["share_of_tokens"]), {})
        total = own.setdefault(row["rows"], [0, 0, 0])
        for place, key in enumerate(("sequences", "memorized_target", "memorized_arm")):
            total[place] += row[key]
    groups = list(dict.fromkeys(row["rows"] for row in record["removal_arms"]))
    lines = [
        [f"{policy}, {share:.1%}", *(_before_after(own.get(group)) for group in groups)]
        for (policy, share), own in sorted(arms.items())
    ]
    return f"""Every arm: memorized by the target and then by the arm, of so many distinct sequences, summed over its seeds.

{_table(("arm", *groups), lines)}"""


def _before_after(total: Sequence[int] | None) -> str:
    return "" if total is None else f"{total[1]}, {total[2]} of {total[0]:,}"


def _removal_command(path: Path, record: Row) -> str:
    asked = {
        "--shapes": [record["shapes"]],
        "--seeds": record["seeds"],
        "--policies": record["policies"],
    }
    options = [" ".join([name, *map(str, values)]) for name, values in asked.items()]
    command = f"python benchmarks/removal.py {record['corpus']} {' '.join(options)} --most {record['most']}"
    settings = (
        f"score.max_tokens={record['scored_tokens']} proxy.sample_tokens={record['sample_tokens']}"
    )
    how = f"`rote score` with `{settings}` and `rote filter` before it"
    return f"`{command} --out {path.relative_to(ROOT)}`, {how}.\n"


def _widths(path: Path, record: Row) -> str:
    """Return the section on the learning rate of wide models."""
    lines = []
    for width, best in record["best"].items():
        rows = [row for row in record["losses"] if row["width"] == int(width)]
        own = next(row for row in rows if row["times"] == 1)
        losses = ", ".join(f"{row['loss']:.3f}" for row in rows)
        lines.append(
            [width, f"{own['parameters']:,}", f"{own['rate']:.4f}", losses,
             best["best_times"], f"{best['above_percent']:.1f}%"]
        )  # fmt: skip
    times = sorted({row["times"] for row in record["losses"]})
    factors = ", ".join(f"{factor:g}" for factor in times)
    widths = " ".join(record["best"])
    head = ("width", "parameters", "rate by the rule", f"loss at {factors} times it",
            "best at", "rule's loss above the best")  # fmt: skip
    return f"""
## The learning rate of wide models

One rate is set (`proxy.rate`), and a rule makes each width's own of it (`pipeline/score/proxy/rates.py`). Held-out loss, in nats per token, of models of
{record["layers"]} layers after {record["rows"]:,} rows of {record["run"]}, one seed: what the rule gives, and what other rates would have given.

{_table(head, lines)}
`python benchmarks/widths.py {record["run"]} --widths {widths} --layers {record["layers"]} --times {" ".join(f"{one:g}" for one in times)} --rows {record["rows"]} --out {path.relative_to(ROOT)}`
"""


def _left(row: Row) -> str:
    if row["left"] is None:
        return ""
    return f"{row['left']:.2f} [{row['left_low']:.2f}, {row['left_high']:.2f}]"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _reading() -> str:
    """Return what the tables do not show."""
    return """
## What this does not show

- No target larger than 13.4 million parameters was trained, and that one on dev alone: bands for large models rest on published curves
  ([decision 0012](decisions/0012-plants-and-laws.md)). A unit test (`tests/unit/score/test_scaling.py`) holds that Pythia's published
  counts from 70M to 410M give its 12B count within 10%.
- Sequences are trained on and scored alone after one EOS: see packed windows above, which were tried with one width.
- Ladders of the two smallest proxies alone (24,000 parameters at most) are forecast too low by about a logit; the default has four.
- Not a privacy guarantee: other prefixes, paraphrase and attributes are not looked at.
- Negative results are in [LOG.md](LOG.md): further features that gained nothing, a slope of size without limit, natural families alone.
"""


def _commands(records: Mapping[Path, Row]) -> str:
    """Return the commands that make the records of a table over several, a line each."""
    lines = []
    for path, record in records.items():
        seeds = sorted({row["seed"] for row in record["rows"] if row["order"] == OWN})
        lines.append(f"- `{_command(path, record, seeds)}`")
    return "\n".join(lines)


def _command(path: Path, record: Row, seeds: Sequence[int]) -> str:
    of = " ".join(map(str, seeds))
    out = path.relative_to(ROOT)
    if any(PACKED in row["target"] for row in record["rows"]):
        of += " --packed 256"
    if record.get("known"):
        of += f" --known {(RESULTS / record['known']).relative_to(ROOT)}"
    panel = out.with_name(out.name.replace("forecast", "panel")).with_suffix(".parquet")
    if (ROOT / panel).exists():
        of += f" --panel {panel}"
    shapes = sorted({row["target"] for row in record["rows"] if row["order"] == OWN})
    shape = " ".join(one for one in shapes if PACKED not in one)
    made = f"python benchmarks/forecast.py {record['run']} --shapes {shape} --seeds {of}"
    return " ".join(f"{made} --out {out}".split())


def _mean(rows: Sequence[Row], key: str) -> float:
    values = [row[key] for row in rows if row.get(key) is not None]
    return sum(values) / len(values) if values else float("nan")


def _share(ends: Sequence[float] | None) -> str:
    return "" if not ends else f"{ends[0]:.2%} to {ends[1]:.2%}"


def _ends(ends: Sequence[float] | None) -> str:
    return "" if not ends else f"{ends[0]:.0f} to {ends[1]:.0f}"


if __name__ == "__main__":
    main()
