"""The whole ladder on one large GPU, by one command: scan, score, filter, back-test, arms, record.

    python benchmarks/full.py CORPUS RUN [--record RESULT.json] [--shapes 4x96 4x192 6x384 10x672]
        [--sample-tokens 200000000] [--batch 256] [--size full] [--arms removal] [--set a.b=c]

Proxies of 0.44, 1.8, 10.6 and 54 million parameters, then, as targets, the last once more in
another order and one of 355 million. Every training is an output with a checkpoint inside: a
command that was killed is run again and goes on. On one H200 it should take some hours (by FLOPs:
nothing of it was run on a GPU); with small shapes, a small batch and --size smoke it runs on a CPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PROGRAM = "import sys; from flows.cli import main; sys.argv[0] = 'rote'; main()"
BACKTEST = Path(__file__).parent / "backtest.py"
SHAPES = ("4x96", "4x192", "6x384", "10x672")
STOPPED = 130  # as a shell has it for Ctrl-C
SCORED = 64_000_000  # tokens: what is judged fits into minutes of bootstraps


def main() -> int:
    """Run the commands one after another; each does what is left to do.

    What fails or is stopped has said why, and how to go on: the same command again.
    """
    asked = arguments(sys.argv[1:])
    for command in commands(asked):
        sys.stdout.write(" ".join(command[3:]) + "\n")
        sys.stdout.flush()
        try:
            code = subprocess.run(command, check=False).returncode
        except KeyboardInterrupt:
            code = STOPPED
        if code:
            sys.stderr.write("stopped there; the same command goes on\n")
            return code if code > 0 else STOPPED
    return 0


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("run", type=Path)
    parser.add_argument("--shapes", nargs="*", default=SHAPES)
    parser.add_argument("--sample-tokens", type=int, default=200_000_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--size", default="full")
    parser.add_argument("--arms", default="removal")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--record", type=Path)
    return parser.parse_args(given)


def commands(asked: argparse.Namespace) -> list[list[str]]:
    """Return the commands, in order."""
    shapes = ",".join(f"[{one.replace('x', ',')}]" for one in asked.shapes)
    settings = [
        f"proxy.shapes=[{shapes}]",
        f"proxy.sample_tokens={asked.sample_tokens}",
        f"proxy.batch={asked.batch}",
        f"score.max_tokens={SCORED}",
        *asked.set,
    ]
    chosen = [part for setting in settings for part in ("--set", setting)]
    rote = [sys.executable, "-c", PROGRAM]
    run = str(asked.run)
    judge = [sys.executable, str(BACKTEST), run, "--size", asked.size, "--arms", asked.arms]
    judge += [part for setting in asked.set for part in ("--set", setting)]
    judge += ["--record", str(asked.record)] if asked.record else []
    return [
        [*rote, "scan", asked.corpus, "--out", run, "--filter", "--local", *chosen],
        [*rote, "score", run, "--local", *chosen],
        [*rote, "filter", run, "--local", *chosen],
        judge,
    ]


if __name__ == "__main__":
    sys.exit(main())
