"""What would a language model learn by rote from this corpus? The command `rote`, from Python.

    import rote

    kept = rote.dedup(texts).kept                   # of a list or a frame, in one line
    run = rote.scan("corpus/", "my-run").filter()   # the same stages as the command
    run = rote.open("my-run")
    run.documents()                    # a Polars frame; documents.arrow(), .lazy(), .duckdb()
    print(run.explain("some-id"))      # why this row stayed or went
    print(run.query("rights"))         # how often this occurs

What is heavy is imported by the call that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rote.shadowed import refuse_others

refuse_others()

if TYPE_CHECKING:
    from pipeline.errors import PipelineError as RoteError
    from rote.deduplication import Deduplicated, dedup
    from rote.runs import Run, Told, open, run, scan
    from rote.tables import Table

__all__ = [
    "Deduplicated",
    "RoteError",
    "Run",
    "Table",
    "Told",
    "dedup",
    "open",
    "run",
    "scan",
]
_PLACES = {
    "Deduplicated": "rote.deduplication",
    "dedup": "rote.deduplication",
    "Table": "rote.tables",
} | dict.fromkeys(("Run", "Told", "open", "run", "scan"), "rote.runs")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what __all__ lists
    """Import what is asked for."""
    if name == "__version__":
        return import_module("importlib.metadata").version("rote")
    if name == "RoteError":
        return import_module("pipeline.errors").PipelineError
    if name not in _PLACES:
        raise AttributeError(f"module 'rote' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Return the names that there are."""
    return sorted(__all__)
