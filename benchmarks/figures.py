"""The pictures of docs/forecast.md, drawn from the tables of a finished back-test.

usage: python benchmarks/figures.py RUN [--out docs]

Writes forecast-curve.svg (precision over recall of the forecasts and of what they are held against)
and forecast-reliability.svg (observed share over forecast probability, with its intervals), both of
the headline stratum.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

SIZE, LEFT, TOP, WIDTH = 360, 48, 16, 640
HEADLINE = "all"
SHOWN = (
    "unseen", "seen", "log count", "log effective count", "proxy log p_z", "Min-K%++",
    "other seed's margin", "proxy flag",
)  # fmt: skip
COLOURS = ("#1f5fbf", "#c2410c", "#4d7c0f", "#7c3aed", "#525252", "#0e7490", "#9f1239", "#a16207")


def read(run: Path, table: str) -> list[dict[str, object]]:
    """Return the rows of a table of the back-test that are of the headline stratum."""
    rows = pq.read_table(run / "backtest" / table)
    return list(rows.filter(pc.equal(rows["stratum"], HEADLINE)).to_pylist())


def place(x: float, y: float) -> str:
    """Return where a point of the unit square lies."""
    return f"{LEFT + x * SIZE:.1f},{TOP + (1 - y) * SIZE:.1f}"


def frame(title: str, across: str, up: str, inside: Iterable[str]) -> str:
    """Return the picture with its axes."""
    ticks = []
    for k in range(6):
        x, y = place(k / 5, 0).split(",")[0], place(0, k / 5).split(",")[1]
        ticks += [
            f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{TOP + SIZE}" class="grid"/>',
            f'<line x1="{LEFT}" x2="{LEFT + SIZE}" y1="{y}" y2="{y}" class="grid"/>',
            f'<text x="{x}" y="{TOP + SIZE + 16}" text-anchor="middle">{k / 5:.1f}</text>',
            f'<text x="{LEFT - 8}" y="{float(y) + 4}" text-anchor="end">{k / 5:.1f}</text>',
        ]
    middle = TOP + SIZE / 2
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + SIZE + 44}" '
                f'role="img" font-family="sans-serif" font-size="12">'
            ),
            f"<title>{escape(title)}</title>",
            "<style>.grid{stroke:#ddd}rect{fill:#fff}</style>",
            '<rect width="100%" height="100%"/>',
            *ticks,
            f'<text x="{LEFT + SIZE / 2}" y="{TOP + SIZE + 36}" text-anchor="middle">{across}</text>',
            f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{up}</text>',
            *inside,
            "</svg>\n",
        ]
    )


def legend(names: Sequence[str]) -> list[str]:
    """Return a line for each colour."""
    found = []
    for k, name in enumerate(names):
        y = TOP + 14 + 20 * k
        found += [
            (
                f'<line x1="{LEFT + SIZE + 16}" x2="{LEFT + SIZE + 36}" y1="{y - 4}" y2="{y - 4}" '
                f'stroke="{COLOURS[k % len(COLOURS)]}" stroke-width="2.5"/>'
            ),
            f'<text x="{LEFT + SIZE + 42}" y="{y}">{escape(name)}</text>',
        ]
    return found


def curve(run: Path) -> str:
    """Return precision over recall of the forecasts and their rivals; the flag is a point."""
    rows = read(run, "backtest_curve")
    flag = {
        str(row["metric"]): row["value"]
        for row in read(run, "backtest_metrics")
        if row["score"] == "proxy flag"
    }
    rows.append({"score": "proxy flag", **flag})
    lines = []
    for k, name in enumerate(SHOWN):
        points = sorted((row["recall"], -row["precision"]) for row in rows if row["score"] == name)
        path = " ".join(place(x, -y) for x, y in points)
        if len(points) == 1:
            x, y = path.split(",")
            lines.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{COLOURS[k % len(COLOURS)]}"/>')
            continue
        lines.append(
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[k % len(COLOURS)]}" '
            'stroke-width="2"/>'
        )
    return frame("Precision over recall", "recall", "precision", [*lines, *legend(SHOWN)])


def reliability(run: Path) -> str:
    """Return the observed share over the forecast probability, by quantile bins."""
    rows = read(run, "backtest_reliability")
    names = list(dict.fromkeys(str(row["score"]) for row in rows))
    start, end = place(0, 0).replace(",", " "), place(1, 1).replace(",", " ")
    marks = [f'<path d="M{start} L{end}" stroke="#999" stroke-dasharray="4 4"/>']
    for row in rows:
        colour = COLOURS[names.index(str(row["score"])) % len(COLOURS)]
        x, y = place(row["forecast"], row["observed"]).split(",")
        if row["low"] is not None:
            low, high = (place(0, row[side]).split(",")[1] for side in ("low", "high"))
            marks.append(f'<line x1="{x}" x2="{x}" y1="{low}" y2="{high}" stroke="{colour}"/>')
        marks.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>')
    return frame(
        "Reliability of the forecast",
        "forecast probability",
        "share that the target memorized",
        [*marks, *legend(names)],
    )


def main() -> None:
    """Read the arguments, draw, write."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--out", type=Path, default=Path("docs"))
    asked = arguments.parse_args()
    for name, draw in (("curve", curve), ("reliability", reliability)):
        (asked.out / f"forecast-{name}.svg").write_text(draw(asked.run), encoding="utf-8")


if __name__ == "__main__":
    main()
