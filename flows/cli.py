"""The command line: arguments in, one exit code out.

All work is in `pipeline`; all orchestration in the flow.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from flows.runners import LocalMapper, leave
from flows.terminal import open_progress
from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.engine.progress import listen
from pipeline.errors import ConfigError, PipelineError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
ON_CORPUS = ("run", "scan")
ON_RUN = ("score", "filter", "report")
ABOUT = {
    "run": "everything: scan, score, filter, report",
    "scan": "make or continue a run folder: count every repetition, verify every near copy",
    "score": "train the proxies and forecast what the target memorizes",
    "filter": "decide about every row; write kept/ and removed/",
    "report": "write report/index.html and report/report.json",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit: 0 ok, 1 a problem of the data or a strict alarm, 2 usage.

    130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked = parser().parse_args(given)
    try:
        code = asked.command(asked)
    except PipelineError as error:
        sys.stderr.write(f"rote: {error}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        again = shlex.join(["rote", *given])
        sys.stderr.write(f"\nStopped; what is finished stays. To go on from here: {again}\n")
        leave(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as in `rote explain ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    sys.exit(code)


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = argparse.ArgumentParser(
        prog="rote", description="What would a language model learn by rote from this corpus?",
    )  # fmt: skip
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    sample = commands.add_parser(
        "sample", help="gather a real corpus from what is installed here, to try things on"
    )
    sample.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder")
    sample.add_argument("--megabytes", type=int, default=14, help="megabytes of text (default 14)")
    sample.set_defaults(command=_sample)
    for name in ON_CORPUS:
        command = commands.add_parser(name, help=ABOUT[name], description=ABOUT[name])
        _corpus(command)
        _common(command, name)
    for name in ON_RUN:
        command = commands.add_parser(name, help=ABOUT[name], description=ABOUT[name])
        command.add_argument("out", type=Path, metavar="RUN", help="a run folder")
        _common(command, name)
        if name == "filter":
            command.add_argument(
                "--forget", action="append", default=[], metavar="DOC_ID",
                help="take a row and its exact and verified near copies out for good, repeatable",
            )  # fmt: skip
    restore = commands.add_parser("restore", help="bring removed rows back with the next filter")
    restore.add_argument("out", type=Path, metavar="RUN", help="a run folder")
    restore.add_argument("doc_ids", nargs="+", metavar="DOC_ID", help="a row's id, or shard#row")
    restore.add_argument("--undo", action="store_true", help="leave them to the rules again")
    restore.set_defaults(command=_restore)
    explain = commands.add_parser("explain", help="why a row stayed or went, in words")
    explain.add_argument("out", type=Path, metavar="RUN", help="a run folder")
    explain.add_argument("doc_id", metavar="DOC_ID", help="the row's id, or shard#row")
    explain.add_argument("--html", type=Path, metavar="FILE", help="write it as a page, too")
    explain.set_defaults(command=_explain)
    _query_options(commands.add_parser("query", help="how often a text occurs in the corpus"))
    _backtest_options(
        commands.add_parser(
            "backtest", help="is the forecast right on this corpus? hours on request"
        )
    )
    schedule = commands.add_parser(
        "schedule", help="run everything again and again, as a Prefect deployment"
    )
    _corpus(schedule)
    schedule.add_argument("--cron", required=True, help='when, for example "0 3 * * *"')
    schedule.add_argument("--name", default="rote", help="name of the deployment (default rote)")
    _config(schedule)
    schedule.add_argument("--strict", action="store_true", help="a run with an alarm fails")
    schedule.set_defaults(command=_schedule)
    return top


def _query_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("out", type=Path, metavar="RUN", help="a run folder")
    asked = command.add_mutually_exclusive_group(required=True)
    asked.add_argument("--text", help="the text to look for")
    asked.add_argument("--file", type=Path, metavar="PATH", help="a file with it; - for input")
    command.add_argument("--json", action="store_true", help="the answer as JSON")
    command.add_argument("-v", "--verbose", action="store_true", help="say how long it took")
    command.set_defaults(command=_query)


def _backtest_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("out", type=Path, metavar="RUN", help="a run folder")
    command.add_argument(
        "--size", default="miniature", help="smoke, miniature (default) or full (a large GPU)"
    )
    command.add_argument(
        "--arms", default="", help="filter,random,count,goldfish,sinks: one more training each"
    )
    _settings(command)
    command.add_argument("--local", action="store_true", help="as always here: no Prefect")
    command.add_argument("--dry-run", action="store_true", help="say the cost, train nothing")
    command.add_argument("--json", action="store_true", help="print backtest.json")
    command.set_defaults(command=_backtest)


def _corpus(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "corpus", nargs="+", metavar="CORPUS", help="files, folders or quoted globs"
    )
    command.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder")


def _settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("-c", "--config", type=Path, metavar="FILE", help="a TOML file")
    command.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="one setting, repeatable"
    )


def _config(command: argparse.ArgumentParser) -> None:
    _settings(command)
    command.add_argument(
        "--skip-bad-files", action="store_true", help="go on without unreadable files; list them"
    )


def _common(command: argparse.ArgumentParser, name: str) -> None:
    _config(command)
    command.add_argument("--local", action="store_true", help="no Prefect: threads of this process")
    command.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    command.add_argument("--strict", action="store_true", help="exit 1 when there is an alarm")
    if name == "report":
        command.add_argument(
            "--against", type=Path, metavar="OTHER", help="tell what changed since another run"
        )
    command.add_argument(
        "--verify", action="store_true", help="read inputs and outputs anew, trust no size or date"
    )
    command.add_argument("-v", "--verbose", action="store_true", help="a log line per unit of work")
    command.set_defaults(command=_work, name=name)


def _sample(asked: argparse.Namespace) -> int:
    from pipeline.sample import gather

    summary = gather(asked.folder, asked.megabytes)
    sys.stdout.write("\n".join(summary.lines()) + "\n")
    return OK


def _restore(asked: argparse.Namespace) -> int:
    from pipeline.filter.overrides import restore

    rows = restore(asked.out, asked.doc_ids, undo=asked.undo)
    what = "are left to the rules again" if asked.undo else "will stay"
    sys.stdout.write(f"{rows:,} rows {what} with the next filter: rote filter {asked.out}\n")
    return OK


def _explain(asked: argparse.Namespace) -> int:
    from flows.terminal import show_explanation
    from pipeline.inspect.explain import explanations
    from pipeline.inspect.explanation_words import in_words
    from pipeline.run import stale_tables

    told = explanations(asked.out, asked.doc_id, stale_tables(asked.out))
    show_explanation(in_words(told))
    if asked.html is not None:
        from pipeline.inspect.explanation_page import explanation_page

        _write_page(asked.html, explanation_page(told))
    return OK


def _write_page(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            "The page cannot be written.",
            where=f"--html {path}",
            found=os.strerror(error.errno or 0),
            expected="a file in a folder that is there",
            fix="name another",
        ) from error


def _query(asked: argparse.Namespace) -> int:
    from flows.answer import as_json, in_words
    from pipeline.inspect.lookup import lookup
    from pipeline.run import stale_tables

    data, name = _asked_text(asked)
    threads, begun = len(os.sched_getaffinity(0)), time.perf_counter()
    progress = open_progress()
    listen(progress)
    progress.stage("query", 1)
    try:
        answer = lookup(asked.out, data, stale_tables(asked.out), threads, name=name)
    finally:
        progress.close()
    if asked.verbose:
        sys.stderr.write(f"query: done in {time.perf_counter() - begun:.2f} s\n")
    sys.stdout.write((as_json if asked.json else in_words)(answer) + "\n")
    return OK


def _asked_text(asked: argparse.Namespace) -> tuple[bytes, str]:
    """Return the text of a query as it was given, and where it is from."""
    if asked.text is not None:
        return os.fsencode(asked.text), "--text"
    if str(asked.file) == "-":
        return sys.stdin.buffer.read(), "--file - (standard input)"
    try:
        return asked.file.read_bytes(), f"--file {asked.file}"
    except OSError as error:
        raise ConfigError(
            "The file with the text cannot be read.",
            where=f"--file {asked.file}",
            found=os.strerror(error.errno or 0),
            expected="a file of UTF-8 text",
            fix="name another, or give the text itself with --text",
        ) from error


def _backtest(asked: argparse.Namespace) -> int:
    from flows.backtest import start

    return start(asked)


def _schedule(asked: argparse.Namespace) -> int:
    from flows.schedule import serve

    return serve(
        asked.corpus, asked.out, _resolved(asked, {}), asked.cron, asked.name, strict=asked.strict
    )


def _work(asked: argparse.Namespace) -> int:
    from pipeline.engine.run_folder import load_manifest
    from pipeline.run import plan, saved_config

    on_corpus = asked.name in ON_CORPUS
    base = {} if on_corpus else saved_config(asked.out)
    if asked.name == "report":  # a comparison is asked for each time
        if asked.against:
            load_manifest(asked.against)  # refused before the report that is there is taken away
        other = str(asked.against.absolute()) if asked.against else ""
        base["report"] = {**base.get("report", {}), "against": other}
    config = _resolved(asked, base)
    corpus = [str(root) for root in asked.corpus] if on_corpus else []
    if asked.dry_run:
        _print_plan(plan(asked.name, asked.out, config, corpus), asked.out, config)
        if asked.name == "filter":
            _print_preview(asked.out, config)
        return OK
    if getattr(asked, "forget", []):
        _forget(asked.out, asked.forget, config)
    progress = open_progress()
    listen(progress)
    try:
        alarms = _start(asked, config, corpus)
    finally:
        progress.close()
    return FAILED if asked.strict and alarms else OK


def _forget(out: Path, names: list[str], config: Config) -> None:
    from pipeline.filter.overrides import forget

    texts = forget(out, names, config)
    sys.stdout.write(f"forgetting {texts:,} texts: those named and their verified near copies\n")


def _start(asked: argparse.Namespace, config: Config, corpus: list[str]) -> int:
    """Run the command with or without Prefect; print what was done; return the number of alarms."""
    from flows.summary import summarize
    from pipeline.engine.memory import workers_of
    from pipeline.run import COMMANDS, session

    request: dict[str, Any] = {
        "command": asked.name, "corpus": corpus, "out": str(asked.out),
        "config": config.model_dump(mode="json"),
        "verify": asked.verify,
    }  # fmt: skip
    if asked.local:
        mapper = LocalMapper(workers_of(config))
        with session(asked.out, config, mapper, corpus=corpus, verify=asked.verify) as opened:
            COMMANDS[asked.name](opened)
    else:
        from flows.orchestrator import start

        start(**request)
    text, alarms = summarize(asked.out)
    sys.stdout.write(text)
    return alarms


def _resolved(asked: argparse.Namespace, base: dict[str, Any]) -> Config:
    settings = [*asked.set, *(["input.skip_bad_files=true"] if asked.skip_bad_files else [])]
    return load_config(asked.config, settings, base)


def _print_plan(steps: list[tuple[str, int, int]], out: Path, config: Config) -> None:
    from pipeline.score.probes.cost import lines as costs

    lines = [f"Plan for {out} (nothing is written):"]
    for stage, due, units in steps:
        lines.append(
            f"  {stage:<12} {'already done' if not due else f'{due} of {units} units to do'}"
        )
        if stage == "probes" and due:
            lines += [f"    {line}" for line in costs(config)]
    sys.stdout.write("\n".join(lines) + "\n")


def _print_preview(out: Path, config: Config) -> None:
    """Print what each rule of a filter would take."""
    from flows.summary import preview_lines
    from pipeline.dry_run import preview

    sys.stdout.write("\n".join(preview_lines(preview(out, config))) + "\n")
