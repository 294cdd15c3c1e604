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

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scheduler import Load, Ran, efficiency, makespan, simulate

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "scale.md"
Row = dict[str, Any]
GB, TB = 1e9, 1e12

# of a node, assumed: 16 virtual cores of x86 with 64 GB, at about its list price by the hour in 2026
CORES, NODE_MEMORY, NODE_DOLLARS = 16, 64e9, 0.80
NODE_BYTES = 1.5e9  # a second, over the network to what all nodes share
PUT, GET = 5e-6, 4e-7  # dollars of a request of an object storage that writes, that reads

# of the code
GROUP_BYTES, GROUPS, LARGEST_GROUP = 4 << 20, 200, 1 << 30  # pipeline/scan/inventory.py
DOCUMENT_BYTES = 340  # pipeline/engine/memory.py
ANCHOR_VALUES = 2.0**32  # pipeline/scan/repeats/chosen.py
WINDOWS_AN_ANCHOR = 11  # of 50 words, by runs of 30
NUMBERS = 2.0**32  # of documents, pipeline/scan/rejections.py
SHARDS, ROWS = 2.0**24, 2.0**40  # pipeline/engine/shards.py
RANGE_BYTES = 16 << 20  # pipeline/storage/mirror.py
UPLOAD_BYTES = 5 << 20  # of obstore, a part of a file that is written
SHARD_BYTES = 64e6  # of a corpus, assumed
QUOTED = 300  # texts that a report reads again, each from a shard of its own at most
PARTS = 4_096  # of a stage that maps its own parts, on a corpus so large

MAPS = ("sketch", "emit")
IN_PARTS = ("pairs", "windows")  # as it is (decision 0014)
WOULD_BE = ("candidates", *IN_PARTS)  # what would be one more
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
PUBLISHED = (
    (
        "NeMo Curator, fuzzy removal alone",
        "a part of RedPajama v2, taken for 8 TB",
        "1 node of H100, taken for 8, in 2.05 h; 4 nodes in 0.50 h",
        8 * 2.05 / 8,
        "GPU-hours",
        "[its README](https://github.com/NVIDIA-NeMo/Curator)",
    ),
    (
        "data-juicer, MinHash on Ray",
        "1 TB; 5 TB",
        "1,280 cores in 30.1 min; in 168.1 min",
        1280 * 30.08 / 60,
        "core-hours",
        "[Distributed.md](https://github.com/datajuicer/data-juicer/blob/main/docs/Distributed.md)",
    ),
    (
        "datatrove, signatures alone (stage 1 of 4)",
        "8 TB",
        "2,400 tasks in 61 min",
        2400 * 61 / 60 / 8,
        "task-hours",
        "[a user's issue](https://github.com/huggingface/datatrove/issues/298)",
    ),
    (
        "datatrove, signatures and clusters (stages 1 and 3 of 4)",
        "\"1T\"",
        "1,000 cores in 2 h, then one core in more than 7 h",
        2007.0,
        "core-hours",
        "[a user's issue](https://github.com/huggingface/datatrove/issues/106)",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Constants:
    """What a stage costs for a GB of text.

    Attributes:
        name: of the stage.
        cpu_s: CPU seconds.
        texts_s: those of them for texts of single rows, which are a fixed number.
        read: bytes read for a byte of text.
        written: bytes of finished files.
        aside: bytes put aside.
        serial: share of its CPU seconds that is in the thread of its unit, not in those it starts.
        grows: by which power of the text its CPU seconds grow, between the smallest and the
            largest corpus of one kind.
        spread: seconds of each unit over their mean, of a map.
    """

    name: str
    cpu_s: float
    texts_s: float
    read: float
    written: float
    aside: float
    serial: float
    grows: float
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Corpus:
    """A corpus that is carried to.

    Attributes:
        text: bytes of text.
        documents: how many.
        shards: files.
        groups: units of a map.
    """

    text: float
    documents: float
    shards: float
    groups: int


def main() -> None:
    """Write the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str) -> str:
    """Return a page with its tables made anew."""

    def made(found: re.Match[str]) -> str:
        return f"<!-- made: {found[1]} -->\n{TABLES[found[1]]()}<!-- end -->"

    return re.sub(r"<!-- made: (\w+) -->\n.*?<!-- end -->", made, page, flags=re.DOTALL)


@cache
def record(kind: str) -> Row:
    """Return the newest record of a kind."""
    path = max(RESULTS.glob(f"{kind}-2*.json"))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown whose first column is text and whose others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


@cache
def constants() -> tuple[Constants, ...]:
    """Return the constants of each stage, of the largest corpus that was measured."""
    first, last = _measured()[0], _measured()[-1]
    text = last["text_bytes"]
    found = []
    for name, now in last["stages"].items():
        before, units = first["stages"][name], now["units"]
        times = math.log(text / first["text_bytes"])
        mean = sum(units) / len(units)
        found.append(
            Constants(
                name,
                now["cpu_s"] / text * GB,
                now["texts_s"] / text * GB,
                max(0, now["read"]) / text,
                now["written"] / text,
                now["aside"] / text,
                min(1.0, units[0] / now["cpu_s"]) if len(units) == 1 else 1.0,
                math.log(now["cpu_s"] / before["cpu_s"]) / times,
                tuple(seconds / mean for seconds in units) if name in MAPS else (1.0,),
            )
        )
    return tuple(found)


def _measured() -> list[Row]:
    """Return the runs over corpora of one kind, the smallest first."""
    runs = [run for run in record("constants")["runs"] if run["corpus"].startswith("constant")]
    return sorted(runs, key=lambda run: float(run["text_bytes"]))


def corpus(text: float) -> Corpus:
    """Return a corpus of so much text, of documents as those that were measured."""
    last = _measured()[-1]
    limit = max(GROUP_BYTES, min(text / GROUPS, LARGEST_GROUP))
    return Corpus(
        text,
        text / last["text_bytes"] * last["documents"],
        text / SHARD_BYTES,
        math.ceil(text / limit),
    )


def full_windows() -> float:
    """Return how many times as much `windows` costs where every window is counted.

    From text of which every window repeats, beside text of which none does.
    """
    kind = _kind("chain")
    none, every = (kind[side]["stages"]["windows"] for side in ("ordinary", "skewed"))
    own = _measured()[-1]
    share = own["repeated_words"] / own["words"]
    return float(every / (none + (every - none) * share))


def _kind(name: str) -> Row:
    (found,) = [kind for kind in record("skew")["kinds"] if kind["kind"] == name]
    return dict(found)


def chosen_wrongly(text: float) -> float:
    """Return the share of windows that are counted though they do not repeat.

    Those whose 32 bits of an anchor another anchor has by chance.
    """
    last = _measured()[-1]
    anchors = text / last["text_bytes"] * last["windows"]["windows"] / WINDOWS_AN_ANCHOR
    return 1 - math.exp(-anchors / ANCHOR_VALUES)


def loads(of: Corpus, *, parts: Sequence[str], lines: float = 0.0) -> list[Load]:
    """Return the stages of a run over a corpus as the scheduler sees them.

    Args:
        of: the corpus.
        parts: the stages that map their own parts; what their own thread does stays with the driver.
        lines: of one template, in one part of each of these.
    """
    found = []
    for stage in constants():
        text = text_of(stage, of)
        seconds = stage.cpu_s * text / GB
        if stage.name == "windows":
            seconds *= 1 + (full_windows() - 1) * chosen_wrongly(of.text)
        moved = (stage.read + stage.written + stage.aside) * text / NODE_BYTES
        if stage.name in MAPS:
            spread = np.random.default_rng(1).choice(stage.spread, of.groups)
            tasks = seconds * spread / spread.sum()
            found.append(Load(stage.name, tasks.tolist(), moved=moved))
        elif stage.name in parts:
            alone = seconds * stage.serial
            each = [(seconds - alone) / PARTS] * PARTS
            each[-1] += lines * _of_a_line(stage.name)
            found.append(Load(stage.name, each, alone=alone, moved=moved))
        else:
            found.append(Load(stage.name, [seconds], True, stage.serial, moved=moved))
    return found


def text_of(stage: Constants, of: Corpus) -> float:
    """Return the bytes of text that a stage costs as much as; of a report, some stay as many."""
    quoted = min(of.text, QUOTED * SHARD_BYTES)  # no further than the shards that hold one
    share = stage.texts_s / stage.cpu_s
    return (1 - share) * of.text + share * quoted


def _of_a_line(stage: str) -> float:
    """Return the CPU seconds that a line of a template costs a stage beyond an ordinary one."""
    kind = _kind("template")
    own, other = kind["skewed"], kind["ordinary"]
    more = float(own["stages"][stage] - other["stages"][stage])
    return max(0.0, more / float(own["given"]))


def simulated(of: Corpus, nodes: int, *, parts: Sequence[str], lines: float = 0.0) -> list[Ran]:
    """Return what becomes of a run on a cluster."""
    return simulate(loads(of, parts=parts, lines=lines), nodes, CORES, record_seconds(of))


def record_seconds(of: Corpus) -> float:
    """Return the seconds of the driver for each unit of a map: to make it, and to record it.

    A unit is recorded with all that finished meanwhile, so that recording takes a twentieth of the
    time at most; it does not hold up the others.
    """
    driver = record("constants")["driver"][-1]
    return float(driver["work_s"]) * of.shards / float(driver["shards"])


def constants_table() -> str:
    """Return what each stage costs for a GB of text."""
    runs = _measured()
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


def requests(text: float) -> float:
    """Return the dollars of the requests of a run over a corpus of so much text."""
    run = _measured()[-1]
    written = run["folder_bytes"] / run["text_bytes"] * text
    return float(text / RANGE_BYTES * GET + written / UPLOAD_BYTES * PUT)


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
                    f"{_size(text)} on {nodes:,}, {name}",
                    f"{hours:,.1f}",
                    f"${dollars:,.{0 if dollars >= 10 else 2}f}",
                    f"{efficiency(ran, nodes, CORES):.1%}",
                    f"{longest.name} {longest.seconds / 3_600:,.1f} h",
                    f"{2 * of.groups + len(constants()) - 2 + len(parts) * (PARTS - 1):,}",
                    _size(text / of.groups),
                    _size(DOCUMENT_BYTES * of.documents),
                    _size(moved(of)),
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
    times = (10 * TB / _measured()[-1]["text_bytes"]) ** (windows.grows - 1)
    return (
        f"\nUnder the fixed budget of the measurement the CPU seconds of `windows` grew by the power {windows.grows:.2f}; "
        f"were that to go on, they would be {times:.1f} times as many at 10 TB as carried here.\n"
    )


def _refused(of: Corpus) -> str:
    """Return why today's code would not begin, or not go on, on nodes as they are assumed."""
    memory = of.documents * DOCUMENT_BYTES > NODE_MEMORY
    found = [*(["memory"] if memory else []), *(["documents"] if of.documents >= NUMBERS else [])]
    return ", ".join(found) or "no"


def moved(of: Corpus) -> float:
    """Return the bytes that a run reads and writes on what all nodes share."""
    return sum(
        (stage.read + stage.written + stage.aside) * text_of(stage, of) for stage in constants()
    )


@dataclass(frozen=True)
class Wall:
    """A limit.

    Attributes:
        what: is reached.
        at: bytes of text at which it is.
        then: what happens.
        moves: what would move it.
    """

    what: str
    at: float
    then: str
    moves: str


def walls() -> list[Wall]:
    """Return the limits of the code, the first one that a growing corpus meets first."""
    last, driver = _measured()[-1], record("constants")["driver"][-1]
    text = last["text_bytes"]
    document = text / last["documents"]
    windows = last["windows"]["windows"] / text
    folder = (last["folder_bytes"] + max(stage.aside for stage in constants()) * text) / text
    entry = driver["manifest_bytes"] / driver["shards"]
    alone = sum(stage.cpu_s * stage.serial for stage in constants() if stage.name not in MAPS)
    return sorted(
        [
            Wall(
                f"{NODE_MEMORY / GB:.0f} GB of a node, at {DOCUMENT_BYTES} bytes a document",
                NODE_MEMORY / DOCUMENT_BYTES * document,
                "refused before it begins, with the memory that would do",
                "a larger node for the driver (768 GB: twelve times); families, counts and keepers by component",
            ),
            Wall(
                "as many anchors as 32 bits tell apart",
                ANCHOR_VALUES * WINDOWS_AN_ANCHOR / windows,
                "two thirds of the windows that do not repeat are counted as if they might: "
                f"`windows` costs up to {full_windows():.1f} times as much",
                "anchors of 40 bits; a table by range of hashes, which partitions give",
            ),
            Wall(
                "a day of what one core does alone in the reduces",
                86_400 / alone * GB,
                "more nodes shorten nothing",
                "`candidates` and the joins in parts; parts that write their own rows of a table",
            ),
            Wall(
                "numbers of 32 bits for documents",
                NUMBERS * document,
                "refused after the sketch",
                "64 bits in `windows` and `candidates`; twice their memory for a document",
            ),
            Wall(
                "one expected wrong count of a window",
                2**32.5 / windows,
                "the report says how many are expected; it grows with the square",
                "hashes of 96 bits",
            ),
            Wall(
                f"a manifest of 1 GB, with shards of {SHARD_BYTES / 1e6:.0f} MB",
                1e9 / entry * SHARD_BYTES,
                f"each saving takes {driver['record_s'] * 1e9 / driver['manifest_bytes']:.0f} s of the driver, a "
                "twentieth of the time at most",
                "larger shards; a registry of its own, saved once a scan",
            ),
            Wall(
                f"24 bits for numbers of shards, at {SHARD_BYTES / 1e6:.0f} MB",
                SHARDS * SHARD_BYTES,
                "refused before it begins",
                "larger shards, or more bits of a key",
            ),
            Wall(
                f"a disk of 4 TB for the run folder, {folder:.1f} times the text",
                4 * TB / folder,
                "refused before it begins",
                "a file system that nodes share",
            ),
        ],
        key=lambda wall: wall.at,
    )


def walls_table() -> str:
    """Return the limits as a table."""
    rows = [[wall.what, _size(wall.at), wall.then, wall.moves] for wall in walls()]
    head = ["limit", "at", "then", "what would move it"]
    return table(head, rows).replace("---: | ---: | ---:", "---: | --- | ---")


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
                    f"{_size(text)} on {nodes:,}, {name}",
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


def others_table() -> str:
    """Return published figures of others beside ours."""
    each = sum(stage.cpu_s for stage in constants()) * 1_000 / 3_600
    parts = ("sketch", "copies", "candidates", "pairs")
    near = sum(stage.cpu_s for stage in constants() if stage.name in parts) * 1_000 / 3_600
    rows = [
        [name, what, took, f"{cost:,.0f} {unit}", where]
        for name, what, took, cost, unit, where in PUBLISHED
    ]
    size = _measured()[-1]["text_bytes"] / 1e6
    rows += [
        [
            "rote, the stages that find near copies", f"{size:,.0f} MB", "2 cores",
            f"{near:,.1f} core-hours", "sketch, copies, candidates, pairs, above",
        ],
        [
            "rote, scan + filter + report", f"{size:,.0f} MB", "2 cores",
            f"{each:,.1f} core-hours", "all stages, above",
        ],
    ]  # fmt: skip
    head = ["who", "text", "took", "for a TB", "source"]
    return table(head, rows).replace("---: | ---: | ---: | ---:", "--- | --- | ---: | ---")


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


def _size(count: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.{0 if count >= 10 * size else 1}f} {unit}"
    return f"{count / 1e6:,.0f} MB"


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
