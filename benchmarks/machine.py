"""What figures were taken on, as their records have it."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "pyarrow": version("pyarrow"),
        "duckdb": version("duckdb"),
        "commit": commit.stdout.strip(),
    }
