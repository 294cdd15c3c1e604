"""OpenLineage events of a command, for catalogues: which corpus became which rows.

On request (`limits.lineage`) each command appends one event when it begins and one when it ends, a
JSON object a line: START, then COMPLETE, FAIL, or ABORT after Ctrl-C. A command that is killed has
no second one. Names, counts and sizes only; no text of a document.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.corpus.listed import MARK, absolute
from pipeline.engine.run_folder import RunFolder
from pipeline.errors import ConfigError, PipelineError
from pipeline.storage.addresses import is_address

SPEC = "https://openlineage.io/spec"
EVENT = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
STATISTICS = (
    f"{SPEC}/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet"
)
ERROR = f"{SPEC}/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
PRODUCER = f"urn:rote:{version('rote')}"


@contextlib.contextmanager
def lineage(
    run: RunFolder, place: str, command: str, roots: Sequence[str], tables: Sequence[str]
) -> Iterator[None]:
    """Append the events of a command, if a file for them is named.

    Args:
        run: the run folder, which is open.
        place: the file; empty for no events.
        command: its name.
        roots: the corpus, where it is named; else it is that of the run folder.
        tables: folders with results that the command brings up to date.

    Raises:
        ConfigError: The file cannot be written.
    """
    if not place:
        yield
        return
    inputs = [dataset(absolute(root)) for root in roots or run.manifest["corpus"]["roots"]]
    events = _Events(run, Path(place), command, inputs, tables)
    events.add("START")
    try:
        yield
    except BaseException as error:
        kind = "FAIL" if isinstance(error, Exception) else "ABORT"
        with contextlib.suppress(ConfigError):  # the error itself is what to tell
            events.add(kind, error)
        raise
    events.add("COMPLETE")


@dataclass(frozen=True)
class _Events:
    """What all events of a command share.

    Attributes:
        run: the run folder.
        place: the file for them.
        command: its name.
        inputs: the corpus, as OpenLineage names data.
        tables: folders with results that the command brings up to date.
        number: of this run of the command.
    """

    run: RunFolder
    place: Path
    command: str
    inputs: list[dict[str, Any]]
    tables: Sequence[str]
    number: str = field(default_factory=lambda: str(uuid.uuid4()))

    def add(self, kind: str, error: BaseException | None = None) -> None:
        """Append one event.

        Raises:
            ConfigError: The file cannot be written.
        """
        facets = {}
        if error is not None:  # other libraries' own words may quote a document
            what = error.what if isinstance(error, PipelineError) else type(error).__name__
            facets["errorMessage"] = _facet(ERROR, message=what, programmingLanguage="Python")
        event = {
            "eventType": kind,
            "eventTime": datetime.now(UTC).isoformat(),
            "producer": PRODUCER,
            "schemaURL": EVENT,
            "run": {"runId": self.number, "facets": facets},
            "job": {"namespace": "rote", "name": f"{self.run.folder.name} {self.command}"},
            "inputs": self.inputs,
            "outputs": self._outputs() if kind == "COMPLETE" else [],
        }
        try:
            with self.place.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(event) + "\n")
        except OSError as fault:
            raise ConfigError(
                "The file for lineage cannot be written.",
                where=f"limits.lineage = {self.place}",
                found=os.strerror(fault.errno or 0),
                expected="a file in a folder that is there",
            ) from fault

    def _outputs(self) -> list[dict[str, Any]]:
        """Return the results that there are, with their rows, bytes and files."""
        records = [
            record for entry in self.run.manifest["outputs"].values() for record in entry["files"]
        ]
        found = []
        for table in self.tables:
            own = [record for record in records if record["table"] == table]
            if own:
                told = _facet(
                    STATISTICS,
                    rowCount=sum(record["rows"] for record in own),
                    size=sum(record["bytes"] for record in own),
                    fileCount=len(own),
                )
                place = dataset(str(self.run.folder.resolve() / table))
                found.append({**place, "outputFacets": {"outputStatistics": told}})
        return found


def _facet(schema: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"_producer": PRODUCER, "_schemaURL": schema, **facts}


def dataset(root: str) -> dict[str, Any]:
    """Return a place as OpenLineage names data: by the storage, and the path in it."""
    if is_address(root):
        parts = urlsplit(root)
        return {
            "namespace": f"{parts.scheme}://{parts.netloc}",
            "name": parts.path.strip("/") or "/",
        }
    return {"namespace": "file", "name": os.path.abspath(root.removeprefix(MARK))}  # noqa: PTH100
