"""What each command does: from its arguments to an exit code.

All work is in `pipeline`; all orchestration in the flow.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.arguments import (
    AuditArguments,
    BacktestArguments,
    CheckArguments,
    CompareArguments,
    ConfigArguments,
    ExplainArguments,
    ExportArguments,
    FilterArguments,
    QueryArguments,
    ReportArguments,
    RestoreArguments,
    RunArguments,
    SampleArguments,
    ScheduleArguments,
    SettingOptions,
    StatusArguments,
    WorkOptions,
)
from flows.cli import interruptible
from flows.runners import LocalMapper, units_on
from flows.terminal import open_progress
from pipeline.absent import placed
from pipeline.config.load import load_config
from pipeline.config.sections import Config
from pipeline.config.target_names import target_settings
from pipeline.engine.manifest import saved_config
from pipeline.engine.progress import current, listen
from pipeline.errors import ConfigError
from pipeline.names import shown_lines

OK, FAILED = 0, 1
SKIP_BAD_FILES = "input.skip_bad_files=true"


def sample(asked: SampleArguments) -> int:
    """Gather a corpus and say what is in it."""
    from pipeline.sample import SETTINGS, gather

    interruptible()
    summary = gather(asked.folder, asked.megabytes)
    use = f"use it with its settings: -c {asked.folder / SETTINGS}"
    sys.stdout.write("\n".join([*summary.lines(), use]) + "\n")
    return OK


def work(
    command: str,
    out: Path,
    options: WorkOptions,
    corpus: Sequence[str] = (),
    target: str | None = None,
) -> int:
    """Run the stages of a command on a run folder, or print what they would be.

    Args:
        command: its name.
        out: the run folder.
        options: of all commands that run stages.
        corpus: files, folders and globs; without any the run folder has its corpus and settings.
        target: the model to be trained, as it is typed.
    """
    named = [] if target is None else target_settings(target, options.settings.set)
    base: dict[str, Any] = {}
    if not corpus:
        base = saved_config(out)
    return _work(command, out, options, _configured(options, base, named), corpus)


def run(asked: RunArguments) -> int:
    """Run the stages of everything, or of all but the score."""
    named = (
        [] if asked.target is None else target_settings(asked.target, asked.options.settings.set)
    )
    config = _configured(asked.options, {}, [*named, *_kept_out(asked)])
    command = "run --no-score" if asked.no_score else "run"
    return _work(command, asked.out, asked.options, config, asked.corpus)


def _kept_out(asked: RunArguments | FilterArguments) -> list[str]:
    """Return the settings for what is kept out, with places from wherever rote is started."""
    files = [_absolute(name) for name in asked.decontaminate]
    found = [f"decontaminate.files={json.dumps(files)}"] if files else []
    return [*found, *([f"minus.run={json.dumps(_absolute(asked.minus))}"] if asked.minus else [])]


def _absolute(name: str | Path) -> str:
    from pipeline.storage.addresses import is_address

    return str(name if is_address(str(name)) else placed(str(name)))


def filter_rows(asked: FilterArguments) -> int:
    """Run the stages of the filter, after noting what is to be forgotten."""
    kept_out = _kept_out(asked)
    config = _configured(asked.options, saved_config(asked.run), kept_out)
    if not asked.forget:
        return _work("filter", asked.run, asked.options, config)
    from pipeline.filter.overrides import forget

    dry_run = asked.options.dry_run
    taken = forget(asked.run, asked.forget, config, dry_run=dry_run)
    sys.stdout.write("\n".join(taken.lines(dry_run=dry_run)) + "\n")
    if dry_run:
        verify = asked.options.verify
        _print_plan("filter", asked.run, config, (), verify=verify, forget=taken.texts)
        return OK
    return _work("filter", asked.run, asked.options, config)


def report(asked: ReportArguments) -> int:
    """Run the stage of the report; a comparison is asked for each time."""
    base = saved_config(asked.run)
    other = str(asked.against.absolute()) if asked.against else ""
    base["report"] = {**base.get("report", {}), "against": other}
    return _work("report", asked.run, asked.options, _configured(asked.options, base))


def _work(
    command: str, out: Path, options: WorkOptions, config: Config, corpus: Sequence[str] = ()
) -> int:
    from flows.standard_input import with_input

    if options.dry_run:
        corpus = with_input(corpus, out, dry_run=True)
        _print_plan(command, out, config, corpus, verify=options.verify)
        return OK
    progress = open_progress()
    listen(progress)
    try:
        _start(command, out, options, config, with_input(corpus, out))
    finally:
        progress.close()
    from flows.summary import summarize

    text, alarms = summarize(out)
    sys.stdout.write(shown_lines(text))
    return FAILED if options.strict and alarms else OK


def _start(
    command: str, out: Path, options: WorkOptions, config: Config, corpus: Sequence[str]
) -> None:
    """Run the stages with or without Prefect."""
    from pipeline.engine.memory import workers_of
    from pipeline.run import COMMANDS, session

    interruptible()
    if not by_prefect(options):
        with units_on(options.runner, out, config) as (config, wrapped):
            mapper = wrapped(LocalMapper(workers_of(config)))
            begun = session(
                out, config, mapper, corpus=corpus, verify=options.verify, command=command
            )
            with begun as opened:
                COMMANDS[command](opened)
        return
    from flows.orchestrator import start

    start(
        command=command,
        corpus=corpus,
        out=str(out),
        config=config.model_dump(mode="json"),
        verify=options.verify,
        runner=options.runner or "",
    )


def by_prefect(options: WorkOptions) -> bool:
    """Tell whether Prefect runs the units: when it is asked to, or a server is named.

    Raises:
        PipelineError: It is asked to and is not installed.
    """
    from pipeline.installed import has, require

    if options.prefect:
        require("prefect")
    named = bool(os.environ.get("PREFECT_API_URL")) and not options.local
    if named and not has("prefect"):
        current().message("Prefect is not installed (rote[prefect]): as with --local")
        return False
    return options.prefect or named


def _print_plan(
    command: str,
    out: Path,
    config: Config,
    corpus: Sequence[str],
    *,
    verify: bool,
    forget: Mapping[str, bool] | None = None,
) -> None:
    """Print which units of which stages are due, what is expensive, what each rule would take."""
    from flows.summary import preview_lines
    from pipeline.dry_run import preview
    from pipeline.engine.manifest import load_manifest
    from pipeline.engine.memory import for_scoring
    from pipeline.engine.memory import plan as plan_memory
    from pipeline.engine.shards import active_shards
    from pipeline.expected import expected, in_words
    from pipeline.filter.overrides import enter
    from pipeline.outline import outline, plan
    from pipeline.report.data.headline import forecast_facts, is_order
    from pipeline.run import ACTS
    from pipeline.score.probes.cost import lines as costs

    lines = [f"Plan for {out} (nothing is written):"]
    session = outline(out, config, corpus, verify=verify)
    enter(session.manifest, forget or {})
    planned = plan(command, session)
    for stage, due, units in planned:
        lines.append(
            f"  {stage:<12} {'already done' if not due else f'{due} of {units} units to do'}"
        )
        if stage == "probes" and due:
            lines += [f"    {line}" for line in costs(config)]
    begun = {stage for stage, due, _ in planned if due}
    acts = [act for act, own in ACTS.items() if begun & {stage.name for stage in own}]
    if acts:
        training = for_scoring(config) if "score" in acts else 0
        memory = plan_memory(session.manifest, active_shards(session.manifest), config, training)
        found = expected(session.manifest, config)
        score = _seconds_of_score(found.text_bytes, config, begun) if "score" in acts else None
        told = in_words(found, memory, config, acts, score)
        lines += [f"  {line}" for line in told]
    if command == "filter":
        order = is_order(forecast_facts(load_manifest(out))[0])
        lines += preview_lines(preview(out, config, forget), order=order)
    sys.stdout.write(shown_lines("\n".join(lines)) + "\n")


def _seconds_of_score(text_bytes: int, config: Config, begun: Collection[str]) -> float | None:
    """Return how long a score takes with proxies that are trained here; None where it loads some.

    Args:
        text_bytes: of the corpus.
        config: the settings.
        begun: stages that are due.
    """
    from pipeline.engine.memory import workers_of
    from pipeline.installed import has

    if not has("score"):
        return None
    from pipeline.score.proxy.cost import FITTED, expected_seconds
    from pipeline.score.sequences.provenance import sequences_at_most

    if "sequences" not in begun:
        return FITTED
    if config.proxy.models:
        return None
    most = sequences_at_most(config)
    return expected_seconds(text_bytes, config.proxy, most, workers_of(config))


def restore(asked: RestoreArguments) -> int:
    """Note which rows are to stay, or no longer."""
    from pipeline.filter.overrides import restore as note

    interruptible()
    rows = note(asked.run, asked.doc_ids, undo=asked.undo)
    what = "are left to the rules again" if asked.undo else "will stay"
    sys.stdout.write(f"{rows:,} rows {what} with the next filter: rote filter {asked.run}\n")
    return OK


def check(asked: CheckArguments) -> int:
    """Print every difference between a run folder and its manifest."""
    from flows.check import check_run

    interruptible()
    progress = open_progress()
    listen(progress)
    try:
        return check_run(asked.run, repair=asked.repair)
    finally:
        progress.close()


def status(asked: StatusArguments) -> int:
    """Print how a run folder is."""
    from flows.status import as_json, as_prometheus, in_words
    from flows.status import status as look

    interruptible()
    told = as_json if asked.json else as_prometheus if asked.prometheus else in_words
    sys.stdout.write(told(look(asked.run)) + "\n")
    return OK


def explain(asked: ExplainArguments) -> int:
    """Print, and write as a page if asked, what is known of each row of a name."""
    from flows.terminal import show_explanation
    from flows.written import require_free, written
    from pipeline.inspect.explain import explanations
    from pipeline.inspect.explanation_words import in_words
    from pipeline.outline import stale_tables

    interruptible()
    if asked.html is not None:
        from pipeline.inspect.explanation_page import explanation_page, is_page

        require_free("--html", asked.html, is_page, "explanation")
    told = explanations(asked.run, asked.doc_id, stale_tables(asked.run), asking=asked.attribute)
    show_explanation(in_words(told))
    if asked.html is not None:
        with written("--html", asked.html) as place:
            place.write_text(explanation_page(told), encoding="utf-8")
    return OK


def query(asked: QueryArguments) -> int:
    """Print how often a text occurs."""
    from flows.answer import as_json, in_words
    from pipeline.inspect.lookup import lookup
    from pipeline.outline import stale_tables

    interruptible()
    data, name = _asked_text(asked)
    threads, begun = len(os.sched_getaffinity(0)), time.perf_counter()
    progress = open_progress()
    listen(progress)
    progress.stage("query", 1)
    try:
        answer = lookup(asked.run, data, stale_tables(asked.run), threads, name=name)
    finally:
        progress.close()
    if asked.verbose:
        sys.stderr.write(f"query: done in {time.perf_counter() - begun:.2f} s\n")
    sys.stdout.write((as_json if asked.json else in_words)(answer) + "\n")
    return OK


def audit(asked: AuditArguments) -> int:
    """Print what a corpus has of some texts, and write the table of them if asked."""
    from flows.audited import as_json, in_words, is_table, write_table
    from flows.written import require_free
    from pipeline.inspect.audit import AuditQuestion
    from pipeline.inspect.audit import audit as hold
    from pipeline.outline import stale_tables

    interruptible()
    if asked.out is not None:
        require_free("--out", asked.out, is_table, "table of an audit")
    columns = tuple(name for name in asked.columns.split(",") if name)
    question = AuditQuestion(asked.files, asked.words, columns, asked.generations)
    progress = open_progress()
    listen(progress)
    progress.stage("audit", 1)
    try:
        threads = len(os.sched_getaffinity(0))
        found = hold(asked.run, question, stale_tables(asked.run), threads)
    finally:
        progress.close()
    if asked.out is not None:
        write_table(found, asked.out)
    sys.stdout.write((as_json if asked.json else in_words)(found) + "\n")
    return OK


def export(asked: ExportArguments) -> int:
    """Write the tables of a run into a database, its kept rows for a hub or as a table."""
    from pipeline.export.database import to_database
    from pipeline.export.hub import to_hub
    from pipeline.export.table import to_table
    from pipeline.outline import stale_tables

    interruptible()
    stale = stale_tables(asked.run)
    progress = open_progress()
    listen(progress)
    progress.stage("export", 1)
    try:
        lines = []
        if asked.hub is not None:
            made = to_hub(asked.run, asked.hub, stale, asked.name)
            lines.append(f"{made.rows:,} rows, {len(made.files):,} files, a card: {asked.hub}")
        if asked.to is not None:
            names = to_database(asked.run, asked.to, stale)
            lines.append(f"{len(names)} tables, explained in rote_columns: {asked.to}")
        if asked.table is not None:
            rows = to_table(asked.run, asked.table, stale)
            lines.append(f"{rows:,} rows, the new version of a table: {asked.table}")
        if stale:
            lines.append(f"left out, of an earlier scan or setting: {', '.join(sorted(stale))}")
    finally:
        progress.close()
    sys.stdout.write(shown_lines("\n".join(lines)) + "\n")
    return OK


def compare(asked: CompareArguments) -> int:
    """Print what two models recite of a run's sequences.

    Raises:
        ConfigError: The number of sequences is not one.
    """
    from flows.compared import as_json, in_words
    from pipeline.inspect.two_models import two_models
    from pipeline.outline import stale_tables

    interruptible()
    if asked.sequences < 1:
        raise ConfigError(
            "The number of sequences is not valid.",
            where="--sequences",
            found=str(asked.sequences),
            expected="1 or more",
        )
    progress = open_progress()
    listen(progress)
    progress.stage("compare", 1)
    try:
        names = (asked.first, asked.second)
        stale = stale_tables(asked.run)
        found = two_models(asked.run, names, stale, asked.sequences, asked.prompts)
    finally:
        progress.close()
    sys.stdout.write((as_json if asked.json else in_words)(found) + "\n")
    return OK


def _asked_text(asked: QueryArguments) -> tuple[bytes, str]:
    """Return the text of a query as it was given, and where it is from."""
    if asked.text is not None:
        return os.fsencode(asked.text), "--text"
    path = Path(asked.file or "-")
    if str(path) == "-":
        if sys.stdin is None:
            raise ConfigError(
                "There is no standard input to read.",
                where="--file -",
                found="it is closed",
                fix="name a file, or give the text itself with --text",
            )
        return sys.stdin.buffer.read(), "--file - (standard input)"
    try:
        return path.read_bytes(), f"--file {path}"
    except OSError as error:
        raise ConfigError(
            "The file with the text cannot be read.",
            where=f"--file {path}",
            found=os.strerror(error.errno or 0),
            expected="a file of UTF-8 text",
            fix="name another, or give the text itself with --text",
        ) from error


def backtest(asked: BacktestArguments) -> int:
    """Run or continue a back-test in this process; print what came out."""
    settings = asked.settings
    config = load_config(settings.config, settings.set, saved_config(asked.run))
    from pipeline.backtest.backtest import FOLDER, RESULT
    from pipeline.backtest.backtest import backtest as hold
    from pipeline.backtest.result import headline_lines

    arms = [name for name in asked.arms.split(",") if name]
    interruptible()
    progress = open_progress()
    listen(progress)
    try:
        result = hold(asked.run, config, asked.size, arms, dry_run=asked.dry_run)
        current().unit_done("backtest")
    finally:
        progress.close()
    if asked.json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    elif not asked.dry_run:
        lines = [*headline_lines(result), f"back-test: {asked.run / FOLDER / RESULT}"]
        sys.stdout.write("\n".join(lines) + "\n")
    return OK


def schedule(asked: ScheduleArguments) -> int:
    """Serve the deployment until Ctrl-C."""
    from flows.notify import VARIABLE, require_url
    from flows.when import when_of

    if asked.notify is not None:  # the runs inherit it, and nothing else has it
        os.environ[VARIABLE] = asked.notify
    if os.environ.get(VARIABLE):
        require_url(os.environ[VARIABLE])
    when = when_of(asked)
    config = _loaded(asked.settings, {}, skip_bad_files=asked.skip_bad_files)
    from flows.schedule import Served, serve

    interruptible()
    how = Served(asked.strict, asked.open_parameters, "run --no-score" if asked.no_score else "run")
    return serve(asked.corpus, asked.out, config, when, asked.name, how=how)


def config(asked: ConfigArguments) -> int:
    """Print every setting as TOML."""
    from pipeline.config.explained import explained

    base = saved_config(asked.run) if asked.run else {}
    sys.stdout.write(explained(asked.settings.config, asked.settings.set, base, str(asked.run)))
    return OK


def _configured(options: WorkOptions, base: dict[str, Any], more: Sequence[str] = ()) -> Config:
    skip = options.skip_bad_files
    return _loaded(options.settings, base, more, skip_bad_files=skip)


def _loaded(
    settings: SettingOptions,
    base: dict[str, Any],
    more: Sequence[str] = (),
    *,
    skip_bad_files: bool,
) -> Config:
    extra = [SKIP_BAD_FILES] if skip_bad_files else []
    return load_config(settings.config, [*settings.set, *more, *extra], base)
