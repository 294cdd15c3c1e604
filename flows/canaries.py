"""What `rote canaries` and `rote canaries check` do: from their arguments to an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flows.arguments import CanariesArguments, CheckCanariesArguments
from flows.canary_words import checked_in_words, made_in_words
from flows.cli import interruptible
from flows.terminal import open_progress
from pipeline.canaries.checked.answers import Answers, read_answers
from pipeline.canaries.checked.check import check_canaries, write_prompts
from pipeline.canaries.checked.endpoint import ask_endpoint, endpoint_of
from pipeline.canaries.key import Key
from pipeline.canaries.made.canaries import make_canaries
from pipeline.canaries.made.design import Design, design_of
from pipeline.engine.progress import listen
from pipeline.names import shown_lines
from pipeline.outline import stale_tables

OK = 0


def make(asked: CanariesArguments) -> int:
    """Write canaries for the user's own training into a new folder."""
    interruptible()
    rest = Design(
        pairs=asked.count, references=asked.references, seed=asked.seed, passages=asked.passages
    )
    design = design_of(asked.doses, asked.kinds, rest)
    threads = len(os.sched_getaffinity(0))
    with _progress():
        stale = stale_tables(asked.run)
        made = make_canaries(asked.run, design, asked.out, stale, threads, as_lines=asked.jsonl)
    sys.stdout.write(shown_lines(made_in_words(made)) + "\n")
    return OK


def check(asked: CheckCanariesArguments) -> int:
    """Print what a model remembers of canaries, or write their prompts."""
    interruptible()
    if asked.prompts is not None:
        count = write_prompts(asked.folder, asked.prompts, suffixes=asked.suffixes)
        sys.stdout.write(shown_lines(f"{count:,} prompts: {asked.prompts}") + "\n")
        return OK
    with _progress():
        found = check_canaries(asked.folder, _asking(asked))
    told = json.dumps(found, indent=1) if asked.json else checked_in_words(found, asked.folder)
    sys.stdout.write(shown_lines(told) + "\n")
    return OK


def _asking(asked: CheckCanariesArguments) -> Callable[[Key], Answers]:
    """Return the way to have the answers that was named."""
    if asked.answers is not None:
        path = asked.answers
        return lambda key: read_answers(path, key)
    if asked.endpoint is not None:
        endpoint = endpoint_of(asked.endpoint, asked.served)
        return lambda key: ask_endpoint(key, endpoint)
    from pipeline.canaries.checked.model import ask_model

    name = asked.model or ""
    return lambda key: ask_model(key, name)


@contextmanager
def _progress() -> Iterator[None]:
    """Show the progress of a question as that of a stage of one unit."""
    progress = open_progress()
    listen(progress)
    progress.stage("canaries", 1)
    try:
        yield
    finally:
        progress.close()
