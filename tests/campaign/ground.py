"""What the cases start from: small corpora, finished run folders, and the answers they give."""

import functools
import shutil
from pathlib import Path

from tests.campaign.case import told
from tests.e2e import corpora
from tests.e2e.command import Ended, files, rote

SCORE = (
    "--set=proxy.sample_tokens=1000",
    "--set=proxy.vocabulary=300",
    "--set=proxy.shapes=[[1,32],[1,64],[2,64]]",
    "--set=proxy.epochs=1",
    "--set=proxy.threads=1",
    "--set=score.max_tokens=8192",
)
LOCAL = ("--local", "--set=limits.workers=2")
ROW = "shard-0.jsonl#1"
ACTS = ("scan", "filter", "report")


class Ground:
    """A folder in which each thing is made once, when a case first asks for it.

    Attributes:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def corpus(self) -> Path:
        """A corpus of two small shards with copies."""
        return corpora.small(self.folder / "corpus", shards=2, rows=12)

    @functools.cached_property
    def other_corpus(self) -> Path:
        """Another corpus with the same names of files."""
        return corpora.small(self.folder / "other" / "corpus", shards=2, rows=12, seed=2)

    @functools.cached_property
    def older_corpus(self) -> Path:
        """The corpus as it was before rows were added to a shard of it."""
        folder = shutil.copytree(self.corpus, self.folder / "older" / "corpus")
        lines = (folder / "shard-0.jsonl").read_text().splitlines(keepends=True)
        (folder / "shard-0.jsonl").write_text("".join(lines[:8]))
        return folder

    @functools.cached_property
    def scanned(self) -> Path:
        """A run folder after a scan."""
        return self._made("scanned", self.corpus, ACTS[:1])

    @functools.cached_property
    def filtered(self) -> Path:
        """A run folder after a scan and a filter."""
        return self._next("filtered", self.scanned, "filter")

    @functools.cached_property
    def reported(self) -> Path:
        """A run folder after scan, filter and report."""
        return self._next("reported", self.filtered, "report")

    @functools.cached_property
    def scored(self) -> Path:
        """A run folder after scan and score."""
        return self._next("scored", self.scanned, "score", *SCORE)

    @functools.cached_property
    def whole(self) -> Path:
        """A run folder after all four acts."""
        return self.run(self.folder / "whole", self.corpus)

    @functools.cached_property
    def other(self) -> Path:
        """A run folder after all four acts over another corpus."""
        return self.run(self.folder / "other" / "run", self.other_corpus)

    @functools.cached_property
    def older(self) -> Path:
        """A run folder after all four acts over the corpus as it was before."""
        return self.run(self.folder / "older" / "run", self.older_corpus)

    @functools.cached_property
    def bytes_of_whole(self) -> dict[str, str]:
        """The digests of the files after all four acts."""
        return files(self.whole)

    def run(self, out: Path, corpus: Path) -> Path:
        """Return a new run folder after all four acts over a corpus."""
        require(rote("run", corpus, "--out", out, *LOCAL, *SCORE))
        return out

    def _made(self, name: str, corpus: Path, acts: tuple[str, ...]) -> Path:
        run = self.folder / name
        for act in acts:
            require(rote(*command(act, corpus, run)))
        return run

    def _next(self, name: str, before: Path, act: str, *options: str) -> Path:
        run = shutil.copytree(before, self.folder / name)
        require(rote(*command(act, self.corpus, run), *options))
        return run


def command(act: str, corpus: Path, run: Path) -> tuple[str | Path, ...]:
    """Return the command of an act, without Prefect; `run` and `scan` name the corpus too."""
    if act in {"run", "scan"}:
        return (act, corpus, "--out", run, *LOCAL, *(SCORE if act == "run" else ()))
    return (act, run, *LOCAL, *(SCORE if act == "score" else ()))


def require(ended: Ended) -> None:
    """Require what the campaign itself needs: a command that ends with 0."""
    if told(ended) != "ok":
        raise SystemExit(f"the campaign cannot begin: {ended}")
