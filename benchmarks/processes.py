"""Work in processes of its own, so that what it uses is its own.

Linux hands a parent's peak of memory on to its children: who measures stays small.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CHILD = "ROTE_BENCHMARK_CHILD"
"""Variable that holds, as JSON, what a benchmark asks a child that is the same program."""
INSTALLED = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
"""The environment of a command: an installation has its modules compiled."""
CODE = "import sys; from flows.cli import main; sys.argv[0] = 'rote'; main()"


@dataclass(frozen=True)
class Used:
    """What a process used.

    Attributes:
        wall_s: seconds from its begin to its end.
        cpu_s: CPU seconds, of user and system.
        peak_mb: the most memory that it held.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


def command(*arguments: str) -> Used:
    """Run a command of rote and return what it used; end with what it said where it fails."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        env=INSTALLED,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(said.decode())
    wall = time.perf_counter() - began
    return Used(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def answer_of(program: Sequence[str], asked: Sequence[Any]) -> Any:  # noqa: ANN401 - what JSON holds
    """Ask a program, which finds the question in CHILD; return the last line that it prints."""
    ended = subprocess.run(
        [sys.executable, *program],
        env={**os.environ, CHILD: json.dumps(asked)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return json.loads(ended.stdout.splitlines()[-1])
