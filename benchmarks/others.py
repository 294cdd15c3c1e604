"""Published figures of others beside ours, for a TB."""

from __future__ import annotations

from benchmarks.carried import constants, measured
from benchmarks.markdown import table

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


def others_table() -> str:
    """Return published figures of others beside ours."""
    each = sum(stage.cpu_s for stage in constants()) * 1_000 / 3_600
    parts = ("sketch", "copies", "candidates", "pairs")
    near = sum(stage.cpu_s for stage in constants() if stage.name in parts) * 1_000 / 3_600
    rows = [
        [name, what, took, f"{cost:,.0f} {unit}", where]
        for name, what, took, cost, unit, where in PUBLISHED
    ]
    size = measured()[-1]["text_bytes"] / 1e6
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
    return table(head, rows, text=(0, 1, 2, 4))
