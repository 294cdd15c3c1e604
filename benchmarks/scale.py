"""Write the tables of docs/scale.md: what was measured in small, carried to large corpora.

    python -m benchmarks.scale

Reads the newest of benchmarks/results/constants-*.json (python -m benchmarks.constants),
skew-*.json (python -m benchmarks.skew), told-*.json (python benchmarks/expected.py) and acts-*.json
(python -m benchmarks.acts). Figures are theirs; the words around the tables are the page's own. A table
stands between `<!-- made: NAME -->` and `<!-- end -->`.

Nothing here was run on more than one machine. Constants are taken for linear in the text, but where
a limit of the code says otherwise; each table says what else it assumes.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from benchmarks.carried import (
    CORES,
    DOCUMENT_BYTES,
    GB,
    IN_PARTS,
    MAPS,
    NODE_DOLLARS,
    NODE_MEMORY,
    NUMBERS,
    PARTS,
    RANGE_BYTES,
    SHARD_BYTES,
    TB,
    UPLOAD_BYTES,
    WOULD_BE,
    Corpus,
    Row,
    constants,
    corpus,
    measured,
    moved,
    record,
    requests,
    simulated,
)
from benchmarks.markdown import size_of, table
from benchmarks.others import others_table
from benchmarks.scheduler import efficiency, makespan
from benchmarks.walls import walls_table

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SCENARIOS = ((100 * GB, 1), (10 * TB, 100), (100 * TB, 1_000))
KINDS = {
    "template": "100,000 lines of one template",
    "copies": "one line 1,000,000 times",
    "bucket": "120,000 near copies in one bucket of each band; their sets of shingles take 0.9 GB",
    "cap": "groups of 128 near copies, the most that is paired in full",
    "chain": "60,000 overlapping pieces of one text: one cluster",
    "passages": "100,000 documents that each share half with the next: one family",
    "document": "one document of 10 MB",
    "longest": "one document of 100 MB",
}


def main() -> None:
    """Write the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str) -> str:
    """Return a page with its tables made anew."""

    def made(found: re.Match[str]) -> str:
        return f"<!-- made: {found[1]} -->\n{TABLES[found[1]]()}<!-- end -->"

    return re.sub(r"<!-- made: (\w+) -->\n.*?<!-- end -->", made, page, flags=re.DOTALL)


def constants_table() -> str:
    """Return what each stage costs for a GB of text."""
    runs = measured()
    rows: list[list[object]] = []
    for stage in constants():
        each = [run["stages"][stage.name]["cpu_s"] / run["text_bytes"] * GB for run in runs]
        rows.append(
            [
                stage.name,
                *(f"{seconds:.2f}" for seconds in each),
                f"{stage.grows:.2f}",
                f"{stage.read:.2f}",
                f"{stage.written:.3f}",
                f"{stage.aside:.2f}",
                len(runs[-1]["stages"][stage.name]["units"]),
            ]
        )
    whole = [run["cpu_s"] / run["text_bytes"] * GB for run in runs]
    sums = [
        sum(getattr(stage, name) for stage in constants()) for name in ("read", "written", "aside")
    ]
    grows = math.log(runs[-1]["cpu_s"] / runs[0]["cpu_s"]) / math.log(
        runs[-1]["text_bytes"] / runs[0]["text_bytes"]
    )
    rows.append(
        [
            "all",
            *(f"{seconds:.1f}" for seconds in whole),
            f"{grows:.2f}",
            *(f"{total:.2f}" for total in sums),
            sum(len(found["units"]) for found in runs[-1]["stages"].values()),
        ]
    )
    sizes = [f"CPU s at {run['text_bytes'] / 1e6:,.0f} MB" for run in runs]
    return table(
        ["stage", *sizes, "power", "GB read", "GB written", "GB aside", "units"], rows
    ) + _requests_line(runs[-1])


def _requests_line(run: Row) -> str:
    text = run["text_bytes"] / GB
    uploads = sum(max(1, math.ceil(size / UPLOAD_BYTES)) for size in run["sizes"])
    dollars = requests(run["text_bytes"])
    return (
        f"\nRequests for a GB with everything in object storage: {GB / RANGE_BYTES:.0f} reads "
        f"in ranges and {GB / SHARD_BYTES / 1_000:.2f} lists for shards of 64 MB, {uploads / text:.0f} writes "
        f"(parts and files) for the run folder: ${dollars / text * 1_000:.2f} a TB.\n"
    )


def carried_table() -> str:
    """Return hours and dollars of large corpora."""
    rows = []
    for text, nodes in SCENARIOS:
        for name, parts in (("as it is", IN_PARTS), ("candidates in parts too", WOULD_BE)):
            of = corpus(text)
            ran = simulated(of, nodes, parts=parts)
            hours = makespan(ran) / 3_600
            longest = max(ran, key=lambda stage: stage.seconds)
            dollars = hours * nodes * NODE_DOLLARS + requests(text)
            rows.append(
                [
                    f"{size_of(text)} on {nodes:,}, {name}",
                    f"{hours:,.1f}",
                    f"${dollars:,.{0 if dollars >= 10 else 2}f}",
                    f"{efficiency(ran, nodes, CORES):.1%}",
                    f"{longest.name} {longest.seconds / 3_600:,.1f} h",
                    f"{2 * of.groups + len(constants()) - 2 + len(parts) * (PARTS - 1):,}",
                    size_of(text / of.groups),
                    size_of(DOCUMENT_BYTES * of.documents),
                    size_of(moved(of)),
                    _refused(of),
                ]
            )
    return table(
        ["corpus and nodes", "hours", "dollars", "cores at work", "longest stage", "tasks",
         "largest unit of text", "one process, memory", "read and written", "refused"],
        rows,
    ) + _if_powers_held()  # fmt: skip


def _if_powers_held() -> str:
    """Return the sentence on what carrying in a straight line leaves out."""
    (windows,) = [stage for stage in constants() if stage.name == "windows"]
    times = (10 * TB / measured()[-1]["text_bytes"]) ** (windows.grows - 1)
    return (
        f"\nUnder the fixed budget of the measurement the CPU seconds of `windows` grew by the power {windows.grows:.2f}; "
        f"were that to go on, they would be {times:.1f} times as many at 10 TB as carried here.\n"
    )


def _refused(of: Corpus) -> str:
    """Return why today's code would not begin, or not go on, on nodes as they are assumed."""
    memory = of.documents * DOCUMENT_BYTES > NODE_MEMORY
    found = [*(["memory"] if memory else []), *(["documents"] if of.documents >= NUMBERS else [])]
    return ", ".join(found) or "no"


def scheduler_table() -> str:
    """Return what stragglers cost: groups as they are, one long part, reduces in one unit."""
    rows = []
    for text, nodes in SCENARIOS[1:]:
        of = corpus(text)
        for name, parts, lines in (
            ("every reduce one unit", (), 0.0),
            ("pairs and windows in parts, as it is", IN_PARTS, 0.0),
            ("candidates too", WOULD_BE, 0.0),
            ("candidates too, and 10 million lines of a template in one part", WOULD_BE, 1e7),
            ("candidates too, and 100 million", WOULD_BE, 1e8),
        ):
            ran = simulated(of, nodes, parts=parts, lines=lines)
            by_name = {stage.name: stage for stage in ran}
            lost = sum(by_name[stage].seconds - by_name[stage].even for stage in WOULD_BE)
            rows.append(
                [
                    f"{size_of(text)} on {nodes:,}, {name}",
                    f"{makespan(ran) / 3_600:,.2f}",
                    f"{efficiency(ran, nodes, CORES):.1%}",
                    *(f"{by_name[stage].seconds:,.0f}" for stage in (*MAPS, *WOULD_BE)),
                    f"{lost:,.0f}",
                ]
            )
    return table(
        ["corpus", "hours", "cores at work", *(f"{stage}, s" for stage in (*MAPS, *WOULD_BE)),
         "lost in the last three, s"],
        rows,
    )  # fmt: skip


def skew_table() -> str:
    """Return what skewed text costs beside ordinary text."""
    found = record("skew")
    rows = []
    for kind in sorted(found["kinds"], key=lambda kind: [*KINDS].index(kind["kind"])):
        own, other = kind["skewed"], kind["ordinary"]
        cpu = [side["cpu_s"] - found["start_cpu_s"] for side in (own, other)]
        each = [own["rows"][name] / own["given"] for name in ("buckets", "candidates", "pairs")]
        rows.append(
            [
                KINDS[kind["kind"]],
                f"{own['corpus_mb']:.0f}",
                f"{cpu[0]:.1f}",
                f"{cpu[1]:.1f}",
                f"{cpu[0] / cpu[1]:.2f}",
                f"{own['peak_mb']:.0f}",
                f"{other['peak_mb']:.0f}",
                kind["memory_mb"],
                ", ".join(f"{count:.1f}" for count in each),
                f"{own['rows']['kept']:,}",
                ", ".join({**own["wrong"], **other["wrong"]}) or "nothing",
            ]
        )
    return table(
        ["kind", "MB", "CPU s", "ordinary", "times", "peak MB", "ordinary", "limits.memory",
         "buckets, candidates, pairs a row", "kept", "wrong"],
        rows,
    )  # fmt: skip


def told_table() -> str:
    """Return what a dry run told of time, memory and disk, and what came of it."""
    names = ("text_mb", "seconds", "memory_mb", "disk_mb")
    rows = [
        [
            row["corpus"],
            *(_beside(row[f"{name}_told"], row[name]) for name in names),
            f"{row['cpu_s']:.0f}",
        ]
        for row in record("told")["rows"]
    ]
    return table(
        ["corpus", "text, MB", "time, s", "peak memory, MB (told: the least)", "disk, MB", "CPU s"],
        rows,
    )  # fmt: skip


def acts_table() -> str:
    """Return how the acts grow with the corpus."""
    rows = []
    found = record("acts")["rows"]
    for act in dict.fromkeys(row["act"] for row in found):
        own = [row for row in found if row["act"] == act]
        cpu, peak = ([row[name] for row in own] for name in ("cpu_s", "peak_mb"))
        rows.append(
            [
                act,
                *(f"{seconds:.1f}" for seconds in cpu),
                f"{cpu[-1] / cpu[0]:.2f}",
                *(f"{size:,.0f}" for size in peak),
                f"{peak[-1] / peak[0]:.2f}",
            ]
        )
    sizes = [row["text_mb"] for row in found if row["act"] == found[0]["act"]]
    return table(
        [
            "act",
            *(f"CPU s, {size:,.0f} MB" for size in sizes),
            "times",
            *(f"peak MB, {size:,.0f} MB" for size in sizes),
            "times",
        ],
        rows,
    )


def _beside(told: float, came: float) -> str:
    return f"{told:,.0f}, {came:,.0f} ({came / told - 1:+.0%})"


TABLES = {
    "constants": constants_table,
    "carried": carried_table,
    "walls": walls_table,
    "scheduler": scheduler_table,
    "skew": skew_table,
    "others": others_table,
    "told": told_table,
    "acts": acts_table,
}

if __name__ == "__main__":
    main()
