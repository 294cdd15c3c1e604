"""The command line: what is said of one that is not valid."""

import gc
import json
import subprocess
import sys

import pytest

from flows.cli import interruptible
from flows.command_line import run
from pipeline.absent import MANIFEST
from pipeline.config.load import load_config
from pipeline.engine.manifest import manifest_bytes
from pipeline.errors import ConfigError
from schemas.manifest import SCHEMA_VERSION
from tests.e2e.command import environment

HEAVY = [
    *("pyarrow", "numpy", "polars", "duckdb", "numba", "scipy", "sklearn", "torch", "transformers"),
    *("prefect", "fsspec", "obstore", "ray", "pandas", "pipeline.run", "pipeline.corpus"),
]
"""What takes most of a second to import, and has nothing to say about a command line."""
SEVERAL = """
import json, sys
from flows.cli import main
cases, heavy = map(json.loads, sys.argv[1:])
for given in cases:
    try:
        main(given)
    except SystemExit as ended:
        sys.stderr.write(f"{ended.code} {sorted(sys.modules.keys() & set(heavy))}\\n")
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("explain my-run", "DOC-ID is missing: The row's id, or SHARD#ROW."),
        ("filter", "RUN is missing: A run folder."),
        ("scan corpus", "--out is missing: The run folder."),
        ("scan corpus --out", "--out has no value after it"),
        ("query my-run", "Give the text itself with --text, or a file with it with --file."),
        ("explain my-run a --other", "Unknown option: --other."),
    ],
)
def test_what_is_missing_is_named_as_the_help_has_it(given: str, found: str) -> None:
    """A place by its name in the usage line, an option with its hyphens, a group by its rule."""
    with pytest.raises(ConfigError) as refused:
        run(given.split())
    assert refused.value.found == found


def test_garbage_is_collected_from_when_work_begins():
    """Not while modules are imported, which is what takes most of the time of a small command."""
    gc.disable()
    try:
        interruptible()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.enable()


def test_help_and_refusals_import_nothing_heavy(tmp_path):
    """A wrong option or setting, no corpus, no run: told before what works is imported."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "run").mkdir()
    made = {"rote": SCHEMA_VERSION, "version": "1", "scan": 1, "outputs": {}}
    made["config"] = load_config().model_dump(mode="json")
    made["corpus"] = {"roots": [], "skipped": {}, "shards": []}
    (tmp_path / "run" / MANIFEST).write_bytes(manifest_bytes(made))
    cases = {
        0: ["--help", "run --help"],
        1: [
            "run missing --out new",
            "scan corpus missing --out new --dry-run",
            *(f"{name} missing" for name in ("score", "filter", "report", "status", "check")),
            *("explain missing a", "query missing --text a", "config --run missing"),
            *("backtest missing", "canaries missing --out new"),
        ],
        2: [
            *("run corpus --out new --other", "run corpus"),
            "canaries check missing --prompts new",
            "run corpus --out new --set near.threshold=2",
            *(
                f"{name} run --set near.threshold=2"
                for name in ("score", "filter", "report", "backtest")
            ),
        ],
    }
    given = [line.split() for lines in cases.values() for line in lines]
    ended = subprocess.run(
        [sys.executable, "-c", SEVERAL, json.dumps(given), json.dumps(HEAVY)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    codes = [line for line in ended.stderr.splitlines() if line[0].isdigit()]
    assert codes == [f"{code} []" for code, lines in cases.items() for _ in lines], ended.stderr
    assert not (tmp_path / "new").exists()
